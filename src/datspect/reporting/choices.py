"""The table of what the paper fixes, what it leaves open, and what was chosen here."""

import numpy as np

from datspect.cohort.kind import CohortKind
from datspect.cohort.table import LABELS, targets
from datspect.params.data import PreprocessParams
from datspect.params.network import AugmentParams, LearningRateParams
from datspect.params.striatum import AlterParams
from datspect.reporting.inputs import Inputs
from datspect.reporting.markdown import markdown_table

_INTENSITIES = {
    "image_max": "8 bits, each image divided by its own maximum",
    "nonspecific_ratio": "ratio to the nonspecific uptake of the scan, not rounded to 8 bits",
}
_NOT_STATED = "not stated"


def choices_table(inputs: Inputs) -> str:
    """Return the protocol by item: paper, here."""
    rows = [
        ["item", "paper", "here"],
        *_cohort_and_image(inputs),
        *_network(inputs),
        *_training(inputs),
        *_sets(inputs),
    ]
    return markdown_table(rows, n_text_columns=3)


def _cohort_and_image(inputs: Inputs) -> list[list[str]]:
    labels = inputs.subjects["label"]
    kind, n_pd = "simulated" if inputs.kind is CohortKind.PHANTOM else "real", targets(labels).sum()
    fwhm = inputs.params.preprocess.smooth_fwhm_mm
    slices, intensity, size = _slabs() if inputs.of_striatum else _image(inputs.params.preprocess)
    return [
        [
            "cohort",
            "659 PPMI subjects, one scan each: 449 PD, 210 control",
            f"{len(labels)} {kind} scans, one a subject: {n_pd} PD, {len(labels) - n_pd} control",
        ],
        [
            "slices",
            f"40, 41, 42; whether they count from 0 {_NOT_STATED}",
            slices,
        ],
        ["intensity", f"PNG of 8 bits; scaling {_NOT_STATED}", intensity],
        *([["smoothing", "none", f"Gaussian of {fwhm:g} mm"]] if fwhm and not inputs.of_striatum else []),
        ["input size", _NOT_STATED, size],
    ]


def _image(preprocess: PreprocessParams) -> tuple[str, str, str]:
    """Return slices, intensity and size of the image that the paper's model sees."""
    size = preprocess.input_size
    return (
        f"{', '.join(map(str, preprocess.slices))}, counted from 0",
        _INTENSITIES[preprocess.intensity],
        "native, 109 x 91 pixels" if size == "native" else f"{size[0]} x {size[1]} pixels",
    )


def _slabs() -> tuple[str, str, str]:
    """Return the same of what the model of the striatum sees."""
    return (
        "four slabs around both striata, each the mean over 12 mm",
        "twice: ratio to the uptake of the brain, and to the scan's own peak",
        "28 x 24 pixels of 4 mm, in each slab",
    )


def _network(inputs: Inputs) -> list[list[str]]:
    features, classifier = inputs.cv_run["features"], inputs.params.classifier
    if inputs.of_striatum:
        base = f"none; {inputs.params.striatum.members} small networks of our own, whose log odds are averaged"
    else:
        base = f"{features['architecture']}, {features['backbone_source']}"
    return [
        ["base", "InceptionV3, ImageNet", base],
        ["base trained or frozen", _NOT_STATED, _training_of_base(inputs)],
        ["units of the dense layer", _NOT_STATED, f"{classifier.width}"],
        ["dropout", f'rate {_NOT_STATED} ("iterated")', f"{classifier.dropout:g}"],
    ]


def _training_of_base(inputs: Inputs) -> str:
    trainable, features = inputs.params.backbone.trainable, inputs.cv_run["features"]
    if inputs.of_striatum:
        return "all layers trained, from nothing"
    if inputs.params.backbone.frozen:
        return f"frozen; its features are computed once, in {features['precision']}"
    return "all layers trained" if trainable == "all" else f"trained from layer {trainable} upwards"


def _training(inputs: Inputs) -> list[list[str]]:
    training, of_slabs = inputs.params.training, inputs.of_striatum
    return [
        [
            "augmentation",
            f'width and height shift, horizontal flip, brightness; ranges {_NOT_STATED} ("small")',
            _alteration(inputs.params.striatum.alter) if of_slabs else _augmentation(inputs.params.augment),
        ],
        [
            "augmented versions",
            "on the fly",
            f"{inputs.cv_run['features']['draws']} of each {'scan' if of_slabs else 'image'}, used in turn"
            if of_slabs or inputs.params.backbone.frozen
            else "on the fly, new in every epoch",
        ],
        *(_regularisation(inputs) if of_slabs else []),
        ["epochs, batch size", "500, 16", f"{training.epochs}, {training.batch_size}"],
        *([["early stopping", "none", f"after {training.stop_after} epochs"]] if training.stop_after else []),
        *([["weight decay", "none", f"{training.weight_decay:g}"]] if training.weight_decay else []),
        [
            "learning rate",
            f'1e-3 to 1e-6, "gradual step decay"; steps {_NOT_STATED}',
            _learning_rate(training.learning_rate),
        ],
    ]


def _sets(inputs: Inputs) -> list[list[str]]:
    sizes = inputs.table_1["n_validation"].astype(int).value_counts()
    folds = ", ".join(f"{count} of {size}" for size, count in sorted(sizes.items(), reverse=True))
    test = inputs.splits[inputs.splits["role"] == "test"]
    n_control, n_pd = ((test["label"] == label).sum() for label in LABELS)
    return [
        ["folds", "9 of 66, 1 of 65, stratified", f"{folds}, stratified"],
        [
            "training and test set",
            "527 and 132; 43 control and 89 PD in the test set",
            f"{len(inputs.splits) - len(test)} and {len(test)}; {n_control} control and {n_pd} PD in the test set",
        ],
        [
            "selection",
            "hyper-parameters by cross-validation, in which the test subjects took part",
            _selection(inputs),
        ],
    ]


def _selection(inputs: Inputs) -> str:
    n_dev_folds, origin = inputs.params.split.n_dev_folds, inputs.cv_metrics.get("parameters_from")
    if origin is None and inputs.of_striatum:
        return (
            "none in this run; the recipe was chosen on development folds of the default phantom, in which none of its "
            "test subjects took part"
        )
    if origin is None:
        return (
            f"none in this run: the values of params.yaml; {n_dev_folds} development folds inside the training set "
            "are kept for a search"
        )
    trial = f"trial {origin['trial']} of study {origin['study']}"
    if not origin["same_split"]:
        return (
            f"{trial}, a search on the development folds of another split or cohort; it is not known whether the test "
            "subjects took part"
        )
    return (
        f"{trial}, a search on the {n_dev_folds} development folds inside the training set; the test subjects took no "
        "part"
    )


def _augmentation(augment: AugmentParams) -> str:
    return (
        f"shifts up to {augment.width_shift:.1%} of the width and {augment.height_shift:.1%} of the height, "
        f"{'half of the versions mirrored' if augment.horizontal_flip else 'none mirrored'}, brightness "
        f"{1 - augment.brightness:g} to {1 + augment.brightness:g}"
    )


def _alteration(alter: AlterParams) -> str:
    least, most = alter.lowered_to
    return (
        f"of the volume: shifts up to {alter.shift_mm:g} mm and turns up to {alter.turn_degrees:g} degrees along and "
        f"about each axis, size {1 - alter.scale:g} to {1 + alter.scale:g}, gain {1 - alter.gain:g} to "
        f"{1 + alter.gain:g}, blur up to {alter.blur_mm:g} mm, noise up to {alter.noise:g} of the brain's uptake, "
        f"{'half of the versions mirrored' if alter.swap_sides else 'none mirrored'}; {alter.lowered_share:.0%} of the "
        f"controls with binding lowered to {least:g} to {most:g}, which count as PD"
    )


def _regularisation(inputs: Inputs) -> list[list[str]]:
    return [["optimiser", _NOT_STATED, f"AdamW; labels smoothed by {inputs.params.striatum.label_smoothing:g}"]]


def _learning_rate(rate: LearningRateParams) -> str:
    initial, final = (np.format_float_scientific(value, trim="-", exp_digits=1) for value in (rate.initial, rate.final))
    match rate.schedule:
        case "constant":
            return f"{initial}, constant"
        case "step":
            return f"{initial} to {final} in {rate.drops} drops by the same factor, after equally many epochs"
        case "one_cycle":
            return f"up to {initial} and down to {final}, in one cycle"
        case _:
            return f"{initial} to {final}, {rate.schedule}"
