"""A fold is the same wherever it is trained: on a real cluster too, when the worker that trains it is killed."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster

from datspect.modeling.backbone import build_backbone, layer_arrays, set_random_weights
from datspect.modeling.finetuning import Material, fit_fold
from datspect.modeling.heads import FittedHead, Head
from datspect.modeling.network import NetworkPlan
from datspect.params.network import AugmentParams
from datspect.params.running import ExecutorParams
from datspect.running.executors import SCHEDULER_VARIABLE, completed
from datspect.training.crossval import history_table
from datspect.training.curves import Curves
from datspect.training.fitting import Kept, fit_networks
from datspect.training.fold_files import FileCheckpoints

pytestmark = pytest.mark.slow

N, SHAPE, N_EPOCHS = 16, (36, 32), 4
EXECUTOR = ExecutorParams(kind="dask", workers=1, folds_per_gpu=1, scheduler=None, checkpoint_minutes=60)


def made_up_material() -> Material:
    """Random images, and the last convolution of a random MobileNetV2 to train."""
    backbone = build_backbone("MobileNetV2", SHAPE)
    set_random_weights(backbone, 5)
    return Material(
        images=np.random.default_rng(3).random((N, *SHAPE, 3)).astype(np.float32),
        labels=(np.arange(N) % 2).astype(np.int64),
        backbone=layer_arrays(backbone),
        plan=NetworkPlan("MobileNetV2", SHAPE, "Conv_1", "frozen", "float32"),
        augment=AugmentParams(draws=1, width_shift=0.1, height_shift=0.1, horizontal_flip=True, brightness=0.1, seed=4),
        batch_size=8,
        warmup_epochs=0,
    )


def made_up_heads() -> list[Head]:
    rows, rates = np.arange(N), np.full(N_EPOCHS, 1e-3)
    return [Head(f"fold-{k:02d}", rows[rows % 3 != k], rows[rows % 3 == k], 4, 0.3, rates, 10 + k) for k in range(3)]


def fit_and_die_once(shared: tuple[Material, Path], head: Head, report: Any) -> FittedHead:
    """The first process that reaches the second epoch of the second fold is killed in it."""
    material, folder = shared

    def die_once(n_done: int) -> None:
        report(n_done)
        if head.name == "fold-01" and n_done == 2:
            try:
                (folder / "killed").touch(exist_ok=False)
            except FileExistsError:
                return
            os.kill(os.getpid(), signal.SIGKILL)

    return fit_fold(head, material, die_once, FileCheckpoints(folder / f"{head.name}.npz", 60))


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0") as started:
        monkeypatch.setenv(SCHEDULER_VARIABLE, started.scheduler_address)
        yield started


@pytest.mark.parametrize(("kind", "workers"), [("local", 1), ("local", 2), ("dask", 1)])
def test_the_curves_of_every_epoch_arrive_from_wherever_it_is_trained(
    kind: Literal["local", "dask"],
    workers: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    if kind == "dask":
        request.getfixturevalue("cluster")
    executor = EXECUTOR.model_copy(update={"kind": kind, "workers": workers})
    monkeypatch.setattr(Curves, "finish", lambda *_: None)  # which would give what has not arrived
    heads = made_up_heads()
    curves = Curves(heads)
    fitted = fit_networks("test", heads, made_up_material(), executor, Kept(tmp_path, "test"), curves)
    arrived, whole = (
        table.set_index(["head", "epoch"]) for table in (curves.table(), history_table(list(fitted.values())))
    )
    if kind == "dask":  # whose events may come after the result they belong to
        assert len(arrived) >= len(heads)
    else:
        assert len(arrived) == len(whole)
    pd.testing.assert_frame_equal(arrived, whole.loc[arrived.index])


def test_a_fold_whose_worker_is_killed_is_trained_elsewhere_with_the_same_result(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    material, heads = made_up_material(), made_up_heads()
    found = dict(completed(fit_and_die_once, (material, tmp_path), heads, EXECUTOR, lambda *_: None, fills_cores=False))
    assert (tmp_path / "killed").exists()
    for number, head in enumerate(heads):
        here = fit_fold(head, material)
        elsewhere = found[number]
        assert elsewhere.name == head.name
        np.testing.assert_allclose(elsewhere.weights.kernel, here.weights.kernel, atol=1e-6)
        for name, curve in here.history.items():
            np.testing.assert_allclose(elsewhere.history[name], curve, atol=1e-5, err_msg=name)
        for name, arrays in here.layers.items():
            for ours, theirs in zip(arrays, elsewhere.layers[name], strict=True):
                np.testing.assert_allclose(theirs, ours, atol=1e-5)
