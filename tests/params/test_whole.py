from pathlib import Path

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from datspect.cohort.table import OTHER_LABELS
from datspect.errors import ParamsError
from datspect.imaging.alterations import ALTERATIONS
from datspect.params.data import PHANTOM_COHORT_PATH
from datspect.params.whole import load_params
from datspect.phantom.binding import OTHER_GROUPS

PARAMS = Path(__file__).parents[2] / "params.yaml"


@pytest.fixture
def load(tmp_path):
    """Load the project's params.yaml after changes: {"split.n_folds": 5}, or a YAML text for the value."""

    def load_changed(changes=(), *, text=None):
        path = tmp_path / "params.yaml"
        if text is None:
            raw = YAML(typ="safe", pure=True).load(PARAMS.read_text(encoding="utf-8"))
            for key, value in dict(changes).items():
                *sections, last = key.split(".")
                section = raw
                for name in sections:
                    section = section[name]
                if value is MISSING:
                    del section[last]
                else:
                    section[last] = value
            YAML().dump(raw, path)
        else:
            path.write_text(text, encoding="utf-8")
        return load_params(path)

    return load_changed


MISSING = object()


def origin(**changes):
    """A value of parameters_from; parts that are MISSING are left out."""
    parts = {"study": "wide", "trial": 7, "split": "1a2b3c4d5e6f"} | changes
    return {name: part for name, part in parts.items() if part is not MISSING}


def test_the_projects_own_params_hold_the_papers_protocol():
    params = load_params(PARAMS)
    assert (params.phantom.n_pd, params.phantom.n_control) == (449, 210)
    assert params.preprocess.slices == [40, 41, 42]
    assert (params.split.n_folds, params.split.test_fraction) == (10, 0.2)
    assert (params.training.epochs, params.training.batch_size) == (500, 16)
    assert (params.training.learning_rate.initial, params.training.learning_rate.final) == (1e-3, 1e-6)


def test_the_panel_may_have_all_alterations_or_some_each_once(load):
    assert load().robustness.names == tuple(ALTERATIONS)
    assert load({"robustness.alterations": ["sides", "blur"]}).robustness.names == ("sides", "blur")
    for wrong, message in ((["blur", "blur"], "blur twice; name each once"), (["blurr"], "robustness.alterations")):
        with pytest.raises(ParamsError, match=message):
            load({"robustness.alterations": wrong})


def test_every_label_of_another_group_can_be_asked_for(load):
    assert load({"other_groups.answered": list(OTHER_LABELS)}).other_groups.answered == list(OTHER_LABELS)
    assert set(load().phantom.other_groups.model_dump()) == set(OTHER_GROUPS) < set(OTHER_LABELS)
    with pytest.raises(ParamsError, match=r"other_groups\.answered\.0 = 'pd'"):
        load({"other_groups.answered": ["pd"]})


def test_values_are_read_as_dvc_reads_them(load):
    text = PARAMS.read_text(encoding="utf-8")
    assert load(text=text.replace("initial: 1.0e-3", "initial: 1e-4")).training.learning_rate.initial == 0.0001
    assert load(text=text.replace("seed: 2019", "seed: 010")).split.seed == 10
    with pytest.raises(ParamsError, match=r"augment\.horizontal_flip = 'no': input should be a valid boolean"):
        load(text=text.replace("horizontal_flip: true", "horizontal_flip: no"))


def test_params_do_not_change_after_loading(load):
    with pytest.raises(ValidationError, match="frozen"):
        load().split.n_folds = 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split.n_foldz": 10}, "split.n_foldz = 10: unknown key; remove it or mend its spelling"),
        ({"tuning": {"trials": 3}}, "tuning = {'trials': 3}: unknown key"),
        ({"split.n_folds": MISSING}, "split.n_folds: missing; add it"),
        ({"training": MISSING}, "training: missing; add it"),
        ({"split.n_folds": "ten"}, "split.n_folds = 'ten': input should be a valid integer"),
        ({"split.n_folds": 10.5}, "split.n_folds = 10.5: input should be a valid integer"),
        ({"split.n_folds": True}, "split.n_folds = True: input should be a valid integer"),
        ({"split.n_folds": 1}, "split.n_folds = 1: input should be greater than or equal to 2"),
        ({"split.seed": -1}, "split.seed = -1: input should be greater than or equal to 0"),
        ({"split.test_fraction": 1.0}, "split.test_fraction = 1.0: input should be less than 1"),
        ({"split.test_per_class": {"pd": 3}}, "split.test_per_class.control: missing"),
        ({"preprocess.slices": [40, 41]}, "preprocess.slices = [40, 41]: list should have at least 3 items"),
        ({"preprocess.slices": [40, 41, 91]}, "preprocess.slices.2 = 91: input should be less than or equal to 90"),
        ({"preprocess.intensity": "log"}, "preprocess.intensity = 'log': input should be 'image_max' or 'nonspecific"),
        ({"preprocess.z_offset_voxels": float("nan")}, "preprocess.z_offset_voxels = nan: "),
        ({"backbone.architecture": "VGG"}, "backbone.architecture = 'VGG': input should be 'InceptionV3', "),
        ({"backbone.weights": 3}, "backbone.weights = 3: input should be a valid string"),
        ({"classifier.dropout": 1}, "classifier.dropout = 1: input should be less than 1"),
        ({"cohort.path": ""}, "cohort.path = '': string should have at least 1 character"),
    ],
)
def test_a_wrong_value_is_named_with_its_key_and_what_is_allowed(load, changes, message):
    with pytest.raises(ParamsError) as caught:
        load(changes)
    assert message in str(caught.value)
    assert "1 problem(s)" in str(caught.value)


@pytest.mark.parametrize("size", ["big", 300, [300], [300, 300, 3], [300.5, 300], [31, 300], [True, 300], None])
def test_a_wrong_input_size_is_one_problem_with_all_that_is_allowed(load, size):
    with pytest.raises(ParamsError) as caught:
        load({"preprocess.input_size": size})
    expected = f"preprocess.input_size = {size!r}: expected native or [height, width], whole pixels from 32 to 1024"
    assert expected in str(caught.value)
    assert "1 problem(s)" in str(caught.value)


@pytest.mark.parametrize(
    ("architecture", "smallest"),
    [("InceptionV3", 75), ("Xception", 71), ("InceptionResNetV2", 75), ("MobileNetV2", 32), ("ResNet50V2", 32)],
)
def test_images_must_be_large_enough_for_the_architecture(load, architecture, smallest):
    load({"backbone.architecture": architecture, "preprocess.input_size": [smallest, 300]})
    load({"backbone.architecture": architecture, "preprocess.input_size": "native"})
    with pytest.raises(ParamsError, match=r"preprocess\.input_size = .*") as caught:
        load({"backbone.architecture": architecture, "preprocess.input_size": [300, smallest - 1]})
    if smallest > 32:
        assert f"each side at least {smallest}, which backbone.architecture = {architecture} needs" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"split.n_folds": 211},
            "split.n_folds = 211: at most 210, the smaller class (phantom.n_pd, phantom.n_control)",
        ),
        ({"phantom.n_pd": 9, "split.n_dev_folds": 5}, "split.n_folds = 10: at most 9"),
        ({"split.n_dev_folds": 169}, "split.n_dev_folds = 169: at most 168, what the test set leaves of the smaller"),
        (
            {"split.test_per_class": {"control": 43, "pd": 449}},
            "split.test_per_class.pd = 449: at most 448, so that one subject of phantom.n_pd = 449 is left to train on",
        ),
        (
            {"split.test_per_class": {"control": 201, "pd": 100}},
            "split.n_dev_folds = 10: at most 9, what the test set leaves",
        ),
        (
            {"training.learning_rate.initial": 1e-8},
            "training.learning_rate.final = 1e-06: at most initial (1e-08)",
        ),
        ({"training.epochs": 3}, "training.learning_rate.drops = 3: must be below training.epochs (3)"),
    ],
)
def test_an_impossible_combination_is_named_with_its_key_and_what_is_allowed(load, changes, message):
    with pytest.raises(ParamsError) as caught:
        load(changes)
    assert message in str(caught.value)
    assert "1 problem(s)" in str(caught.value)


def test_the_phantoms_size_does_not_bind_another_cohort(load):
    small = {"phantom.n_pd": 5, "phantom.n_control": 5}
    load(small | {"cohort.path": "data/other"})
    with pytest.raises(ParamsError, match=r"split\.n_folds"):
        load(small | {"cohort.path": PHANTOM_COHORT_PATH + "/"})


def test_all_problems_are_listed_at_once(load):
    with pytest.raises(ParamsError) as caught:
        load({"split.n_folds": 1, "augment.draws": 0, "phantom.sede": 3})
    assert "3 problem(s)" in str(caught.value)
    for key in ("split.n_folds", "augment.draws", "phantom.sede"):
        assert f"\n  {key} = " in str(caught.value)
    with pytest.raises(ParamsError) as caught:
        load({"split.n_folds": 300, "split.n_dev_folds": 300})
    for key in ("split.n_folds", "split.n_dev_folds"):
        assert f"\n  {key} = " in str(caught.value)


@pytest.mark.parametrize("text", ["", "a", "- 1"])
def test_a_file_without_sections_says_which_are_expected(load, text):
    with pytest.raises(ParamsError, match="no sections; expected backbone, augment, classifier, training"):
        load(text=text)


@pytest.mark.parametrize("text", ["a: [", "split: 1\nsplit: 2\n", "\ta: 1"])
def test_a_file_that_is_not_yaml_says_so(load, text):
    with pytest.raises(ParamsError, match="not valid YAML"):
        load(text=text)


def test_a_missing_file_says_where_to_run(tmp_path):
    with pytest.raises(ParamsError, match=r"cannot be read .*; run from the repository root"):
        load_params(tmp_path / "absent.yaml")


def test_the_projects_own_search_space_holds_the_papers_learning_rates():
    params = load_params(PARAMS)
    space, rate = params.tune.space.paper, params.training.learning_rate
    assert space.initial.low <= rate.initial <= space.initial.high
    assert space.final.low <= rate.final <= space.final.high
    assert rate.schedule in space.schedule


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tune.trials": 0}, "tune.trials = 0: input should be greater than or equal to 1"),
        ({"tune.minutes": 0}, "tune.minutes = 0: input should be greater than 0"),
        ({"tune.minutes": float("inf")}, "tune.minutes = inf: input should be a finite number"),
        ({"tune.minutes": float("nan")}, "tune.minutes = nan: input should be a finite number"),
        ({"tune.sampler": "cmaes"}, "tune.sampler = 'cmaes': input should be 'tpe' or 'random'"),
        ({"tune.pruner": "sha"}, "tune.pruner = 'sha': input should be 'median', 'halving' or 'none'"),
        ({"tune.objective": "auc"}, "tune.objective = 'auc': input should be 'log_loss', 'roc_auc' or 'accuracy'"),
        ({"tune.study": "../x"}, "tune.study = '../x': string should match pattern"),
        ({"tune.study": ""}, "tune.study = '': string should match pattern"),
        ({"tune.storage": ""}, "tune.storage = '': string should have at least 1 character"),
        ({"tune.check_epochs": 0}, "tune.check_epochs = 0: input should be greater than or equal to 1"),
        ({"tune.nested_trials": 0}, "tune.nested_trials = 0: input should be greater than or equal to 1"),
        ({"tune.seed": MISSING}, "tune.seed: missing; add it"),
        ({"parameters_from": MISSING}, "parameters_from: missing; add it"),
        ({"parameters_from": "wide"}, "parameters_from = 'wide': input should be "),
        ({"parameters_from": origin(trial=MISSING)}, "parameters_from.trial: missing; add it"),
        ({"parameters_from": origin(trial=-1)}, "parameters_from.trial = -1: input should be greater"),
        ({"parameters_from": origin(trial="7")}, "parameters_from.trial = '7': input should be a valid"),
        ({"parameters_from": origin(study="")}, "parameters_from.study = '': string should match pattern"),
        ({"parameters_from": origin(study="a b")}, "parameters_from.study = 'a b': string should match pattern"),
        ({"parameters_from": origin(split=MISSING)}, "parameters_from.split: missing; add it"),
        ({"parameters_from": origin(split="1a2b")}, "parameters_from.split = '1a2b': string should match pattern"),
        ({"parameters_from": origin(split="1A" * 6)}, "parameters_from.split = '1A1A1A1A1A1A': string should match"),
        ({"parameters_from": origin(split=123456789012)}, "parameters_from.split = 123456789012: input should be a "),
    ],
)
def test_a_search_that_cannot_work_is_refused_with_its_key_and_what_is_allowed(load, changes, message):
    with pytest.raises(ParamsError) as caught:
        load(changes)
    assert message in str(caught.value)
    assert "1 problem(s)" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": [16]}, "batch = [16]: unknown key"),
        ({"dropout.low": 0.9}, "dropout.high = 0.8: must be above low (0.9)"),
        ({"dropout.low": 0.8}, "dropout.high = 0.8: must be above low (0.8)"),
        ({"dropout.scale": "log"}, "dropout.low = 0: must be above 0 on a log scale"),
        ({"dropout.scale": "ln"}, "dropout.scale = 'ln': input should be 'linear' or 'log'"),
        ({"dropout.high": 1.0}, "dropout: from 0 to 1; must lie in 0 to 0.999"),
        ({"dropout.low": float("nan")}, "dropout.low = nan: input should be a finite number"),
        ({"dropout.high": float("nan")}, "dropout.high = nan: input should be a finite number"),
        ({"initial.high": float("inf")}, "initial.high = inf: input should be a finite number"),
        ({"final.low": float("-inf")}, "final.low = -inf: input should be a finite number"),
        ({"width.high": 100}, "width.high = 100: a whole number of steps of 32 above low (32)"),
        ({"width.low": 32.5}, "width.low = 32.5: input should be a valid integer"),
        ({"width.scale": "log"}, "width.step = 32: must be 1 on a log scale"),
        ({"width": {"low": 0, "high": 8, "step": 1, "scale": "linear"}}, "width: from 0 to 8; "),
        ({"drops.low": 0}, "drops.low = 0: at least 1"),
        ({"final.high": 1e-3}, "final.high = 0.001: at most initial.low (0.0001)"),
        ({"schedule": []}, "schedule = []: list should have at least 1 item"),
        ({"schedule": ["step", "step"]}, "schedule = ['step', 'step']: each one once"),
        ({"schedule": ["linear"]}, "schedule.0 = 'linear': input should be 'step', 'cosine', "),
    ],
)
def test_a_space_that_cannot_work_is_refused_with_its_key_and_what_is_allowed(load, changes, message):
    with pytest.raises(ParamsError) as caught:
        load({f"tune.space.paper.{key}": value for key, value in changes.items()})
    assert f"tune.space.paper.{message}" in str(caught.value)
    assert "1 problem(s)" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"drops": {"low": 1, "high": 2, "step": 1, "scale": "linear"}}, "drops = {'low': 1, "),
        ({"schedule": ["step"]}, "schedule.0 = 'step': input should be 'cosine', 'exponential', 'one_cycle' or"),
        ({"epochs.low": 0, "epochs.high": 60, "epochs.step": 10}, "epochs: from 0 to 60; must lie in 1 to 100000"),
        ({"maps.high": 68}, "maps: from 8 to 68; must lie in 1 to 64"),
        ({"label_smoothing.high": 0.5}, "label_smoothing: from 0 to 0.5; must lie in 0 to 0.499"),
        ({"weight_decay.high": 11.0}, "weight_decay: from 0.001 to 11; must lie in 0 to 10"),
        ({"final.high": 1e-2}, "final.high = 0.01: at most initial.low (0.001)"),
        ({"alter": {}}, "alter = {}: dictionary should have at least 1 item"),
        ({"alter.half.shift_mm": 11.0}, "alter.half.shift_mm = 11.0: input should be less than or equal to 10"),
        ({"alter.half.shift": 1.0}, "alter.half.shift = 1.0: unknown key"),
    ],
)
def test_a_space_of_small_networks_that_cannot_work_is_refused_too(load, changes, message):
    with pytest.raises(ParamsError) as caught:
        load({f"tune.space.striatum.{key}": value for key, value in changes.items()})
    assert f"tune.space.striatum.{message}" in str(caught.value)


def test_the_striatums_recipe_lies_in_its_own_space():
    """Or its values would be no trial."""
    params = load_params(PARAMS)
    assert params.striatum.alter.ranges in params.tune.space.striatum.alter.values()


def test_a_range_may_be_on_a_log_scale_and_a_search_without_a_time_limit_or_with_one(load):
    width = {"low": 16, "high": 100, "step": 1, "scale": "log"}
    tune = load({"tune.minutes": 2.5, "tune.space.paper.width": width, "tune.space.paper.schedule": ["constant"]}).tune
    assert (tune.minutes, tune.space.paper.width.high, tune.space.paper.schedule) == (2.5, 100, ["constant"])
    assert load({"tune.minutes": None}).tune.minutes is None


def test_few_epochs_do_not_need_another_search_space(load):
    few = load({"training.epochs": 4})
    assert few.training.epochs < few.tune.space.paper.drops.high


def test_the_study_of_the_parameters_is_read_or_none(load):
    assert load({"parameters_from": None}).parameters_from is None
    read = load({"parameters_from": origin(split="123456789012")}).parameters_from
    assert (read.study, read.trial, read.split) == ("wide", 7, "123456789012")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"finetuning.warmup_epochs": 500}, "finetuning.warmup_epochs = 500: must be below training.epochs (500)"),
        ({"finetuning.batch_norm": "off"}, "finetuning.batch_norm = 'off': input should be 'frozen' or 'trained'"),
        ({"executor.kind": "slurm"}, "executor.kind = 'slurm': input should be 'local' or 'dask'"),
        ({"executor.workers": 0}, "executor.workers = 0: expected auto or a whole number from 1"),
        ({"tracking.log_fold_models": "none"}, "tracking.log_fold_models = 'none': input should be 'changed' or 'all'"),
    ],
)
def test_ways_to_train_that_do_not_exist_are_refused(load, changes, message):
    with pytest.raises(ParamsError) as caught:
        load(changes)
    assert message in str(caught.value)


def test_the_network_is_frozen_only_if_nothing_of_it_is_trainable(load):
    assert load().backbone.frozen
    assert not load({"backbone.trainable": "all"}).backbone.frozen
    assert not load({"backbone.trainable": "mixed7"}).backbone.frozen


def test_training_stops_within_its_epochs(load):
    assert load({"training.stop_after": 60}).training.last_epoch == 60
    assert load().training.last_epoch == 500
    with pytest.raises(ParamsError, match=r"training\.stop_after = 501: at most training\.epochs \(500\)"):
        load({"training.stop_after": 501})
    with pytest.raises(ParamsError, match=r"finetuning\.warmup_epochs = 60: must be below"):
        load({"training.stop_after": 60, "finetuning.warmup_epochs": 60})


def test_fine_tuning_refuses_weight_decay(load):
    decays = {"training.weight_decay": 0.01}
    assert load(decays).training.weight_decay == 0.01
    with pytest.raises(ParamsError, match=r"training\.weight_decay = 0\.01: fine-tuning knows none"):
        load(decays | {"backbone.trainable": "all"})
    assert load(decays | {"backbone.trainable": "all", "model": "striatum"}).model == "striatum"


def test_a_value_without_end_is_refused_in_short(load):
    for value in ("x" * 10**5, list(range(5000))):
        with pytest.raises(ParamsError, match=r"preprocess\.slices = .*characters") as refused:
            load({"preprocess.slices": value})
        assert len(str(refused.value)) < 1000


@pytest.mark.parametrize("text", ["[" * 3000 + "]" * 3000, "a: " + "{b: " * 3000 + "1" + "}" * 3000])
def test_brackets_without_end_are_refused_in_short(load, text):
    with pytest.raises(ParamsError, match="nested without end") as refused:
        load(text=text)
    assert len(str(refused.value)) < 1000


def test_what_is_no_text_is_refused(load, tmp_path):
    (tmp_path / "params.yaml").write_bytes(b"\xff\xfe\x00params")
    with pytest.raises(ParamsError, match="UTF-8"):
        load_params(tmp_path / "params.yaml")
