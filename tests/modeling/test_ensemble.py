"""An ensemble learns, repeats, goes on from where it stopped, and is a head like any other."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.imaging.test_volume_augmentation import NOTHING

from datspect.imaging.slabs import SLABS_SHAPE
from datspect.modeling import ensemble
from datspect.modeling.ensemble import SlabMaterial, fit_ensemble, member_log_odds
from datspect.modeling.heads import Head, logits
from datspect.params.striatum import StriatumParams
from datspect.training.fold_files import FileCheckpoints, read_fold, write_fold

N, DRAWS = 24, 2


def head(n_epochs: int = 4, dropout: float = 0.2, seed: int = 7) -> Head:
    return Head("dev-01", np.arange(18), np.arange(18, N), 4, dropout, np.full(n_epochs, 4e-3), seed, 0.02)


def params(lowered_share: float = 0.25, **changes: Any) -> StriatumParams:
    alter = NOTHING | {"draws": DRAWS, "lowered_share": lowered_share}
    values = {"maps": 2, "members": 2, "label_smoothing": 0.01, "alter": alter}
    return StriatumParams.model_validate(values | changes)


def made_up_material() -> SlabMaterial:
    """Return views of which those of pd lack a bright spot on one side or the other."""
    rng = np.random.default_rng(3)
    labels = (np.arange(N) % 2).astype(np.int64)
    views = rng.uniform(0.8, 1.2, (DRAWS + 1, N, *SLABS_SHAPE))
    views[:, :, 8:12, 8:14] += 3
    views[:, :, 16:20, 8:14] += 3
    for row in np.flatnonzero(labels):
        spot = slice(8, 12) if row % 4 == 1 else slice(16, 20)
        views[:, row, spot, 8:14] -= 2.5
    bank = views.reshape(DRAWS + 1, N, -1).astype(np.float16)
    return SlabMaterial(bank, labels, np.zeros((DRAWS, N), bool), params(0.0), 8)


@pytest.fixture
def material() -> SlabMaterial:
    return made_up_material()


def test_it_learns_one_disease_of_either_side_and_repeats_byte_for_byte(material: SlabMaterial) -> None:
    first, second = (fit_ensemble(head(n_epochs=12), material) for _ in range(2))
    assert first.history["validation_loss"][-1] < 0.3 < 0.6 < first.history["train_loss"][0]
    assert first.history["validation_accuracy"][-1] == 1
    np.testing.assert_array_equal(first.features, second.features)
    np.testing.assert_array_equal(first.weights.output_kernel, second.weights.output_kernel)


def test_the_head_says_the_mean_of_what_its_members_say(material: SlabMaterial) -> None:
    fitted = fit_ensemble(head(), material)
    members = member_log_odds(fitted)
    assert members.shape == (2, N)
    assert (members[0] != members[1]).any()
    assert fitted.features is not None
    np.testing.assert_allclose(logits(fitted.weights, fitted.features), members.mean(axis=0), atol=1e-5)


def test_a_member_is_what_it_is_in_a_smaller_ensemble(material: SlabMaterial) -> None:
    alone = fit_ensemble(head(), replace(material, params=params(0.0, members=1)))
    together = fit_ensemble(head(), material)
    for one, other in zip(alone.layers["member1"], together.layers["member1"], strict=True):
        np.testing.assert_array_equal(one, other)


def test_validation_curves_are_of_the_whole_ensemble_on_unaltered_views(material: SlabMaterial) -> None:
    fitted = fit_ensemble(head(), material)
    rows = head().validation_rows
    assert fitted.features is not None
    scores = logits(fitted.weights, fitted.features)[rows].astype(np.float64)
    signs = np.where(material.labels[rows] == 1, -1, 1)
    assert fitted.history["validation_loss"][-1] == pytest.approx(np.logaddexp(0, signs * scores).mean(), rel=1e-5)
    nobody = fit_ensemble(replace(head(), validation_rows=np.array([], np.int64)), material)
    assert np.isnan(nobody.history["validation_loss"]).all()
    np.testing.assert_array_equal(nobody.weights.output_kernel, fitted.weights.output_kernel)


def test_training_figures_are_weighted_means_whoever_was_lowered(
    material: SlabMaterial, monkeypatch: pytest.MonkeyPatch
) -> None:
    def always_right(state: Any, batches: Any, _rules: Any) -> tuple[Any, Any]:
        return state, np.array([0.5, 1.0]) * batches.weight.sum()

    monkeypatch.setattr(ensemble, "train_epoch", always_right)
    nobody_lowered = replace(material, params=params(0.25))  # each control counts 4/3: more than all subjects together
    history = fit_ensemble(head(), nobody_lowered).history
    np.testing.assert_allclose(history["train_loss"], 0.5, rtol=1e-6)
    np.testing.assert_allclose(history["train_accuracy"], 1, rtol=1e-6)


class _StoppedError(Exception):
    pass


@pytest.mark.parametrize("stop", [1, 3])
def test_a_stopped_fold_goes_on_to_the_same_bytes(stop: int, material: SlabMaterial, tmp_path: Path) -> None:
    def stopping(n_before: int, _sums: np.ndarray) -> None:
        if n_before == stop:
            raise _StoppedError

    path = tmp_path / "dev-01.npz"
    with pytest.raises(_StoppedError):
        fit_ensemble(head(), material, FileCheckpoints(path, minutes=0), stopping)
    told: list[tuple[int, int]] = []
    resumed = fit_ensemble(
        head(), material, FileCheckpoints(path, minutes=0), lambda n, sums: told.append((n, len(sums)))
    )
    assert told == [(0, stop), *((n, 1) for n in range(stop, 4))]
    whole = fit_ensemble(head(), material)
    for name, curve in whole.history.items():
        np.testing.assert_array_equal(resumed.history[name], curve, err_msg=name)
    np.testing.assert_array_equal(resumed.features, whole.features)


def test_a_fold_comes_back_from_its_file(material: SlabMaterial, tmp_path: Path) -> None:
    fitted = fit_ensemble(head(), material)
    write_fold(tmp_path / "dev-01.npz", fitted)
    again = read_fold(tmp_path / "dev-01.npz")
    np.testing.assert_array_equal(member_log_odds(again), member_log_odds(fitted))
    np.testing.assert_array_equal(
        ensemble.ensemble_readings(list(again.layers.values()), material.bank[0]), fitted.features
    )


def numbered(material: SlabMaterial) -> SlabMaterial:
    """With each view full of its row in the flat bank."""
    rows = np.arange((DRAWS + 1) * N).reshape(DRAWS + 1, N, 1)
    return replace(material, bank=np.broadcast_to(rows, material.bank.shape).astype(np.float16))


def index_of(batches: Any) -> np.ndarray:
    return np.asarray(batches.views[..., 0]).astype(int)


def test_lowered_controls_count_as_pd_and_the_others_make_up_for_them(material: SlabMaterial) -> None:
    lowered = np.zeros((DRAWS, N), bool)
    lowered[:, 0:18:8] = True  # controls 0, 8 and 16, whatever the draw: a third of the nine in training
    share = 1 / 3
    batches = ensemble._batches(head(), replace(numbered(material), lowered=lowered, params=params(share)), epoch=1)
    real = batches.weight > 0
    subject = index_of(batches) % N
    assert sorted(subject[real]) == list(range(18))
    for row in range(18):
        (place,) = np.argwhere(real & (subject == row))
        is_pd = material.labels[row] == 1 or row % 8 == 0
        assert batches.target[tuple(place)] == is_pd
        assert batches.weight[tuple(place)] == pytest.approx(1.0 if is_pd else 1.5)
    assert batches.weight[batches.target == 0].sum() == pytest.approx(9)  # as if none had been lowered


def test_every_epoch_has_its_own_order_and_goes_through_all_draws(material: SlabMaterial) -> None:
    epochs = [index_of(ensemble._batches(head(), numbered(material), epoch)) for epoch in range(DRAWS)]
    draws = np.array([[(index[index % N == row] // N)[0] for row in range(18)] for index in epochs])
    assert (np.sort(draws, axis=0) == np.array([[1], [2]])).all()
    assert (epochs[0] != epochs[1]).any()


FIT_ELSEWHERE = """
import sys
import numpy as np
from tests.modeling.test_ensemble import head, made_up_material
from datspect.modeling.ensemble import fit_ensemble, member_log_odds
np.save(sys.argv[1], member_log_odds(fit_ensemble(head(n_epochs=12), made_up_material())))
"""


@pytest.mark.slow
def test_both_backends_say_the_same(tmp_path: Path) -> None:
    said = {}
    for backend in ("tensorflow", "jax"):
        path = tmp_path / f"{backend}.npy"
        subprocess.run(
            [sys.executable, "-c", FIT_ELSEWHERE, path],
            env=os.environ | {"KERAS_BACKEND": backend, "PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
        )
        said[backend] = np.load(path)
    probabilities = {backend: 1 / (1 + np.exp(-scores.mean(axis=0))) for backend, scores in said.items()}
    np.testing.assert_allclose(probabilities["jax"], probabilities["tensorflow"], atol=1e-3)
    assert ((said["jax"] > 0) == (said["tensorflow"] > 0)).all()
