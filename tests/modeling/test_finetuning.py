"""A fine-tuned fold does the same arithmetic as heads on the bank and as Keras, on either backend."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from datspect.errors import ParamsError, WeightsError
from datspect.imaging.augmentation import draw_augmentations
from datspect.modeling import network
from datspect.modeling.backbone import build_backbone, layer_arrays, set_layer_arrays, set_random_weights
from datspect.modeling.classifier import build_classifier
from datspect.modeling.features import bank_blocks, build_extractor
from datspect.modeling.finetuning import Checkpoint, Material, fit_fold
from datspect.modeling.heads import FittedHead, Head, epoch_order, initial_weights, logits
from datspect.modeling.network import NetworkPlan, trained_layers
from datspect.modeling.stack import fit_heads
from datspect.modeling.steps import history, loss_and_right
from datspect.params.network import AugmentParams
from datspect.training.fold_files import FileCheckpoints, read_fold, write_fold

N, SHAPE, BATCH = 22, (40, 36), 8
TOP = "Conv_1"  # the last convolution of MobileNetV2; above it only its normalisation
RANGES = AugmentParams(draws=1, width_shift=0.1, height_shift=0.1, horizontal_flip=True, brightness=0.1, seed=4)
NO_AUGMENTATION = AugmentParams(draws=1, width_shift=0, height_shift=0, horizontal_flip=False, brightness=0, seed=4)


def head(n_epochs: int = 3, n_train: int = 16, dropout: float = 0.4, seed: int = 7, rate: float = 1e-3) -> Head:
    rates = rate * 0.8 ** np.arange(n_epochs)
    return Head("fold-01", np.arange(n_train), np.arange(n_train, N), 6, dropout, rates, seed)


@pytest.fixture(scope="module")
def material() -> Material:
    """Return images that tell the classes apart, and a random MobileNetV2."""
    rng = np.random.default_rng(3)
    labels = (np.arange(N) % 2).astype(np.int64)
    images = rng.random((N, *SHAPE, 3)).astype(np.float32) * 0.6
    images[labels == 1, 10:20, 10:20] += 0.4
    backbone = build_backbone("MobileNetV2", SHAPE)
    set_random_weights(backbone, 5)
    plan = NetworkPlan("MobileNetV2", SHAPE, "all", "frozen", "float32")
    return Material(images, labels, layer_arrays(backbone), plan, RANGES, BATCH, 0)


def planned(material: Material, **changes: Any) -> Material:
    return replace(material, plan=replace(material.plan, **changes))


def test_a_network_that_warms_up_only_is_a_head_on_a_bank_with_a_draw_an_epoch(material: Material) -> None:
    one, n_epochs = head(n_train=13), 3
    ours = fit_fold(one, replace(material, warmup_epochs=n_epochs))
    backbone = build_backbone("MobileNetV2", SHAPE)
    set_layer_arrays(backbone, material.backbone)
    draws = draw_augmentations(RANGES.model_copy(update={"draws": n_epochs}), N, SHAPE)
    blocks = list(bank_blocks(build_extractor(backbone), material.images, draws, batch_size=N))
    bank = np.concatenate(blocks).reshape(n_epochs + 1, N, -1)
    (on_bank,) = fit_heads([one], bank, material.labels, batch_size=BATCH)
    for name, curve in on_bank.history.items():
        np.testing.assert_allclose(ours.history[name], curve, atol=5e-3, err_msg=name)  # the bank is in float16
    np.testing.assert_allclose(ours.weights.kernel, on_bank.weights.kernel, atol=2e-3)
    assert ours.features is not None
    np.testing.assert_allclose(ours.features, bank[0].astype(np.float32), atol=4e-3)


class WithFrozenStatistics(keras.Model):
    """Call the classifier with frozen statistics: in a functional model the `training` of `fit` would override them."""

    def __init__(self, classifier: keras.Model) -> None:
        super().__init__()
        self.classifier = classifier

    def call(self, images: Any, training: bool | None = None) -> Any:
        return self.classifier(images, training=False)


@pytest.mark.slow
def test_steps_are_those_of_keras(material: Material) -> None:
    """Without dropout and augmentation, the same batches have the same losses as in Keras' own training loop."""
    one = head(n_epochs=3, dropout=0.0, rate=1e-4)
    ours = fit_fold(one, replace(material, augment=NO_AUGMENTATION))
    backbone = build_backbone("MobileNetV2", SHAPE)
    set_layer_arrays(backbone, material.backbone)
    classifier = build_classifier(backbone, initial_weights(one, backbone.output_shape[-1]), 0.0)
    for layer in classifier.layers:
        layer.trainable = True
    model = WithFrozenStatistics(classifier)
    model.compile(keras.optimizers.Adam(1e-4), keras.losses.BinaryCrossentropy(), jit_compile=False)
    losses = []
    for epoch, rate in enumerate(one.learning_rates):
        model.optimizer.learning_rate = rate
        order, _ = epoch_order(one, epoch)
        of_batches = []
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            model.reset_metrics()
            loss = model.train_on_batch(material.images[rows], material.labels[rows].astype(np.float32)[:, None])
            of_batches.append(float(np.atleast_1d(loss)[0]))
        losses.append(np.mean(of_batches))
    np.testing.assert_allclose(ours.history["train_loss"], losses, rtol=2e-2)
    assert losses[-1] < losses[0]


def test_it_learns_and_repeats(material: Material) -> None:
    one = head(n_epochs=12, rate=2e-3)
    first, second = fit_fold(one, material), fit_fold(one, material)
    assert first.history["train_loss"][-1] < 0.5 * first.history["train_loss"][0]
    assert first.features is not None
    assert second.features is not None
    np.testing.assert_array_equal(first.features, second.features)
    np.testing.assert_array_equal(first.weights.kernel, second.weights.kernel)


def test_only_the_first_epoch_of_warming_up_and_the_first_after_it_are_traced(
    material: Material, monkeypatch: pytest.MonkeyPatch
) -> None:
    n_traced = 0
    after_epochs: list[int] = []

    def counted(*arguments: Any) -> Any:
        nonlocal n_traced
        n_traced += 1
        return loss_and_right(*arguments)

    monkeypatch.setattr(network, "loss_and_right", counted)
    one = replace(head(n_epochs=4), width=5)  # a width that no other test has compiled a program for
    material = replace(planned(material, trainable=TOP), warmup_epochs=2)
    fit_fold(one, material, lambda _: after_epochs.append(n_traced))
    first, second, third, fourth = after_epochs
    assert 0 < first == second < third == fourth


def test_only_layers_from_the_named_one_upwards_change(material: Material) -> None:
    fitted = fit_fold(head(), planned(material, trainable=TOP))
    before = dict(material.backbone)
    assert set(fitted.layers) == {TOP, "Conv_1_bn"}
    assert any((a != b).any() for a, b in zip(fitted.layers[TOP], before[TOP], strict=True))
    everything = fit_fold(head(), material)
    assert set(everything.layers) == set(before)


@pytest.mark.slow
@pytest.mark.parametrize(("batch_norm", "changes"), [("frozen", False), ("trained", True)])
def test_statistics_of_batch_normalisation_change_only_if_asked(
    batch_norm: Any, changes: bool, material: Material
) -> None:
    fitted = fit_fold(head(), planned(material, trainable=TOP, batch_norm=batch_norm))
    gamma, beta, mean, variance = zip(fitted.layers["Conv_1_bn"], dict(material.backbone)["Conv_1_bn"], strict=True)
    assert (beta[0] != beta[1]).any()
    assert (gamma[0] != gamma[1]).any()
    assert bool((mean[0] != mean[1]).any()) is changes
    assert bool((variance[0] != variance[1]).any()) is changes


@pytest.mark.slow
def test_the_head_warms_up_alone(material: Material) -> None:
    warm = fit_fold(head(n_epochs=2), replace(material, warmup_epochs=2))
    both = fit_fold(head(n_epochs=3), replace(material, warmup_epochs=2))
    before = dict(material.backbone)
    assert all((a == b).all() for name in before for a, b in zip(warm.layers[name], before[name], strict=True))
    assert any((a != b).any() for name in before for a, b in zip(both.layers[name], before[name], strict=True))


@pytest.mark.slow
@pytest.mark.own_process
@pytest.mark.parametrize("precision", ["bfloat16", pytest.param("float16", marks=pytest.mark.long)])
def test_lower_precisions_train_too(precision: Any, material: Material) -> None:
    one = head(n_epochs=12, rate=1e-3)
    fitted = fit_fold(one, planned(material, trainable=TOP, precision=precision))
    exact = fit_fold(one, planned(material, trainable=TOP))
    assert np.isfinite(fitted.history["train_loss"]).all()
    np.testing.assert_allclose(fitted.history["train_loss"][0], exact.history["train_loss"][0], rtol=0.1)
    assert fitted.history["train_loss"][-1] < fitted.history["train_loss"][0]


def test_a_fold_validated_on_nobody_has_no_validation_curve(material: Material) -> None:
    one = replace(head(), validation_rows=np.array([], np.int64))
    fitted = fit_fold(one, planned(material, trainable=TOP))
    assert np.isnan(fitted.history["validation_loss"]).all()
    assert np.isfinite(fitted.history["train_loss"]).all()


def test_validation_curves_are_of_the_clean_images(material: Material) -> None:
    fitted = fit_fold(head(n_epochs=2), planned(material, trainable=TOP))
    assert fitted.features is not None
    rows = head().validation_rows
    scores = logits(fitted.weights, fitted.features[rows])
    right = ((scores > 0) == (material.labels[rows] == 1)).mean()
    assert fitted.history["validation_accuracy"][-1] == pytest.approx(right)


class _StoppedError(Exception):
    pass


def stopping_after(n: int) -> Callable[[int], None]:
    def report(done: int) -> None:
        if done == n:
            raise _StoppedError

    return report


SLOW_STOPS = [(0, 4), (2, 2), (2, 4), (3, 2), (3, 4)]


@pytest.mark.parametrize(
    ("n_warm", "stop"), [(0, 2), *(pytest.param(*stop, marks=pytest.mark.slow) for stop in SLOW_STOPS)]
)
def test_a_stopped_fold_goes_on_from_its_checkpoint(n_warm: int, stop: int, material: Material, tmp_path: Path) -> None:
    one = head(n_epochs=6)
    material = replace(planned(material, trainable=TOP), warmup_epochs=n_warm)
    checkpoints = FileCheckpoints(tmp_path / "fold-01.npz", minutes=0)
    with pytest.raises(_StoppedError):
        fit_fold(one, material, stopping_after(stop), checkpoints)
    told: list[int] = []
    watched: list[tuple[int, np.ndarray]] = []
    checkpoints = FileCheckpoints(tmp_path / "fold-01.npz", minutes=0)
    resumed = fit_fold(one, material, told.append, checkpoints, lambda *epochs: watched.append(epochs))
    # What is watched follows on: the epochs of the checkpoint together, then each by itself.
    assert [(n_before, len(sums)) for n_before, sums in watched] == [
        (0, stop - 1),
        *((n, 1) for n in range(stop - 1, 6)),
    ]
    seen = history(one, np.concatenate([sums for _, sums in watched]))
    for name, curve in resumed.history.items():
        np.testing.assert_array_equal(seen[name], curve, err_msg=name)
    assert told == list(range(stop - 1, 7))  # the epoch of the stop was not kept
    whole = fit_fold(one, material)
    for name, curve in whole.history.items():
        np.testing.assert_allclose(resumed.history[name], curve, atol=1e-4, err_msg=name)


def test_checkpoints_are_written_when_it_is_time(tmp_path: Path) -> None:
    checkpoints = FileCheckpoints(tmp_path / "fold.npz", minutes=60)
    checkpoints.offer(lambda: Checkpoint([np.zeros(2)], np.zeros((1, 4))))
    assert checkpoints.read() is None


def test_a_spoilt_checkpoint_is_named(tmp_path: Path) -> None:
    (tmp_path / "fold.npz").write_bytes(b"no arrays")
    with pytest.raises(WeightsError, match=r"fold\.npz: not a readable file of arrays"):
        FileCheckpoints(tmp_path / "fold.npz", minutes=1).read()


def test_a_fold_comes_back_from_its_file(material: Material, tmp_path: Path) -> None:
    fitted = fit_fold(head(), planned(material, trainable=TOP))
    write_fold(tmp_path / "fold-01.npz", fitted)
    assert_same(read_fold(tmp_path / "fold-01.npz"), fitted)
    write_fold(tmp_path / "slim" / "fold-01.npz", fitted, features=False)
    assert read_fold(tmp_path / "slim" / "fold-01.npz").features is None


def assert_same(one: FittedHead, other: FittedHead) -> None:
    assert (one.name, one.weights.output_bias) == (other.name, other.weights.output_bias)
    pairs: list[tuple[NDArray[Any], NDArray[Any]]] = [
        (one.weights.kernel, other.weights.kernel),
        *((one.history[name], other.history[name]) for name in other.history),
        *((a, b) for name in other.layers for a, b in zip(one.layers[name], other.layers[name], strict=True)),
    ]
    if other.features is not None and one.features is not None:
        pairs.append((one.features, other.features))
    for a, b in pairs:
        np.testing.assert_array_equal(a, b)


def test_an_unknown_layer_is_named_with_those_that_there_are() -> None:
    backbone = build_backbone("MobileNetV2", SHAPE)
    with pytest.raises(ParamsError, match=r"trainable = 'mixed7': expected none, all or a layer of MobileNetV2, such"):
        trained_layers(backbone, "mixed7")
    with pytest.raises(ParamsError, match="no layer from there upwards holds weights"):
        trained_layers(backbone, "features")
