"""Seconds that the record of one cv stage costs on a new SQLite database, and where they go.

A parent and ten folds, 500 epochs of 6 metrics each, ten heads of 2048 -> 128 -> 1, five figures.
Run: python benchmarks/tracking.py
"""

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd

from datspect import tracking

N_FOLDS, N_EPOCHS, N_METRICS, N_FEATURES, WIDTH = 10, 500, 6, 2048, 128
GOAL_SECONDS = 12.0

seconds: dict[str, float] = defaultdict(float)


@contextmanager
def timed(what: str) -> Iterator[None]:
    """Add the block's seconds to `what`."""
    start = time.perf_counter()
    yield
    seconds[what] += time.perf_counter() - start


def main() -> None:
    """Log what a cv stage logs, in a folder of its own, and print the split."""
    import keras

    with timed("(not counted) import MLflow"):
        import mlflow
        import mlflow.keras
    rng = np.random.default_rng(0)
    heads = [_head(keras) for _ in range(N_FOLDS)]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DVC_ROOT"] = folder
        os.environ["MLFLOW_TRACKING_URI"] = "sqlite:///mlflow.db"
        figures = [Path(folder) / f"figure{i}.png" for i in range(5)]
        for figure in figures:
            figure.write_bytes(rng.bytes(60_000))
        with timed("(not counted) create the database"):
            mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
        start = time.perf_counter()
        _log_cv(rng, heads, figures)
        total = time.perf_counter() - start
    for what, value in seconds.items():
        print(f"{value:7.2f} s  {what}")
    print(f"{total:7.2f} s  all of the cv stage's record (goal: at most {GOAL_SECONDS:g})")


def _head(keras):
    return keras.Sequential(
        [
            keras.Input((N_FEATURES,)),
            keras.layers.Dense(WIDTH, activation="relu"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )


def _log_cv(rng: np.random.Generator, heads: list, figures: list[Path]) -> None:
    params = {"training": {f"param{i}": i for i in range(30)}}
    example = np.zeros((1, N_FEATURES), np.float32)
    opening = time.perf_counter()
    with tracking.open_run("cv", stage="cv", experiment="benchmark", params=params) as run:
        seconds["open the parent run"] = time.perf_counter() - opening
        with timed("dataset"):
            run.log_dataset(pd.DataFrame({"label": [0, 1]}), name="phantom", digest="0" * 32, context="training")
        with timed("parent metrics"):
            run.log_metrics({f"cv/metric{i}": i / 20 for i in range(20)})
        with timed("figures"):
            run.log_files(figures, folder="figures")
        for k, head in enumerate(heads):
            opening = time.perf_counter()
            with run.child(f"fold-{k:02d}", params={"fold": k}) as child:
                seconds["open fold runs"] += time.perf_counter() - opening
                with timed("curves"):
                    child.log_history({f"metric{i}": rng.random(N_EPOCHS) for i in range(N_METRICS)})
                with timed("fold metrics"):
                    child.log_metrics({f"metric{i}_last": 0.5 for i in range(N_METRICS)})
                with timed("models"):
                    child.log_keras_model(head, name=f"head-{k:02d}", example=example)


if __name__ == "__main__":
    main()
