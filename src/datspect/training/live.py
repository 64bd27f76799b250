"""Show a training in MLflow while it runs: the stage's own curves and, where folds train one by one, each fold's."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from datspect import tracking
from datspect.modeling.heads import Head
from datspect.training.curves import Curves
from datspect.training.to_mlflow import fold_labels, head_curves, stage_curves

PROGRESS_TAG = "datspect.progress"


@contextmanager
def shown(run: tracking.Run, heads: Sequence[Head], *, own_head: str | None, by_fold: bool) -> Iterator[Curves]:
    """Give curves to fill, and send every few seconds what is new of them.

    The curves of `to_mlflow.stage_curves` stand on `run`, means as far as every head is. With `by_fold` each fold has a
    run of its own from its first epoch on, which `Run.child` goes on with: a stack of heads, all of which move
    on together or by turns, is seen best, and sent most cheaply, by its means.
    """
    curves = Curves(heads)
    with tracking.sent_while_growing(_Sender(run, curves, own_head, by_fold).send):
        yield curves


@dataclass(frozen=True)
class _Sender:
    run: tracking.Run
    curves: Curves
    own_head: str | None
    by_fold: bool

    def send(self) -> None:
        """Send what is new."""
        history = self.curves.table()
        if history.empty:
            return
        heads = self.curves.heads
        self.run.log_history(stage_curves(history, len(heads), self.own_head))
        for head in heads if self.by_fold else ():
            if (history["head"] == head.name).any():
                child = self.run.begin_child(head.name, **fold_labels(head.name, head.seed, len(head.train_rows)))
                child.log_history(head_curves(history, head.name))
        self.run.set_tags({PROGRESS_TAG: f"{len(history)} of {self.curves.n_epochs} epochs"})
