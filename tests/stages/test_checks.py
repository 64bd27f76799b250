"""Stage `checks` on a made-up cohort: a clean one passes, and every fault stops the graph with the scans named."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from datspect.errors import CohortError, LeakageError
from datspect.io.arrays import read_array, write_array
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table, write_table
from datspect.stages import checks

N, N_FEATURES = 24, 8
CHECKS = [
    "age_sex_predicts_label",
    "camera_predicts_label",
    "feature_overlap",
    "image_overlap",
    "permuted_labels",
    "site_predicts_label",
    "subject_overlap",
]
WriteParams = Callable[..., Path]


@dataclass(frozen=True)
class Inputs:
    """Folders as the stages before would have left them."""

    root: Path
    params: Path

    def run(self) -> dict[str, Any]:
        """What the stage found."""
        folders = [self.root / part for part in ("images", "features", "splits.csv", "cameras.csv", "reports")]
        checks.main(*folders, self.params)
        return self.findings()

    def set_params(self, **sections: dict[str, object]) -> None:
        values = YAML(typ="safe", pure=True).load(self.params.read_text("utf-8"))
        for section, changes in sections.items():
            values[section] |= changes
        YAML().dump(values, self.params)

    def findings(self) -> dict[str, Any]:
        return read_json(self.root / "reports/metrics.json")["checks"]

    def edit_table(self, path: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
        write_table(self.root / path, change(read_table(self.root / path)))

    def edit_array(self, path: str, change: Callable[[np.ndarray], None]) -> None:
        array = read_array(self.root / path)
        change(array)
        write_array(self.root / path, array)


@pytest.fixture
def inputs(tmp_path: Path, write_params: WriteParams, rng: np.random.Generator) -> Inputs:
    """24 subjects of 19 sites in 3 folds; features tell the label, site, age and sex do not."""
    is_pd = np.arange(N) % 3 > 0
    subjects = pd.DataFrame(
        {
            "scan_id": [f"S{k:02d}" for k in range(N)],
            "subject_id": [f"P{k:02d}" for k in range(N)],
            "label": np.where(is_pd, "pd", "control"),
            "sex": ["male", "female", "", "male"] * 6,
            "age": [np.nan if k == 4 else 50.0 + k * 7 % 11 for k in range(N)],
            "site": [f"site{k * 5 % 19:02d}" for k in range(N)],
        }
    )
    is_test = np.arange(N) < 6
    splits = subjects[["scan_id", "subject_id", "label"]].assign(
        fold=np.arange(N) // 3 % 3 + 1,
        role=np.where(is_test, "test", "train"),
        dev_fold=np.where(is_test, 0, np.arange(N) // 3 % 2 + 1),
    )
    clean = rng.normal(size=(N, N_FEATURES)) + is_pd[:, None]
    write_table(tmp_path / "images/subjects.csv", subjects)
    write_json(tmp_path / "images/cohort.json", {"kind": "phantom", "n": N})
    write_array(tmp_path / "images/images.npy", rng.random((N, 12, 10, 3)).astype(np.float32))
    write_table(tmp_path / "splits.csv", splits.iloc[::-1])
    cameras = subjects[["scan_id", "subject_id", "label"]].assign(
        signature=[f"resolution {k * 5 % 4 + 1}" for k in range(N)], group="none", grouped_fold=0
    )
    write_table(tmp_path / "cameras.csv", cameras.iloc[::-1])
    write_array(tmp_path / "features/bank.npy", np.stack([clean, clean * 0.99, clean * 1.01]).astype(np.float16))
    params = write_params(
        classifier={"width": 8},
        training={"epochs": 500, "learning_rate": {"initial": 1e-2, "final": 1e-3, "schedule": "step", "drops": 3}},
        checks={"permuted_epochs": 3},
    )
    return Inputs(tmp_path, params)


def test_a_clean_tiny_cohort_passes_and_leaves_a_file_that_no_figure_changes(inputs: Inputs) -> None:
    findings = inputs.run()
    assert sorted(findings) == CHECKS
    assert all(found["passed"] for found in findings.values())
    assert findings["subject_overlap"]["n_subjects"] == N
    assert findings["site_predicts_label"]["limit"] == 0.6
    assert read_json(inputs.root / "reports/metrics.json")["cohort_kind"] == "phantom"
    passed = inputs.root / "reports/passed.json"
    assert read_json(passed) == {"passed": CHECKS}
    before = passed.read_bytes(), (inputs.root / "reports/metrics.json").read_bytes()
    inputs.run()
    assert (passed.read_bytes(), (inputs.root / "reports/metrics.json").read_bytes()) == before


def test_every_fault_is_named_at_once_and_nothing_is_said_to_have_passed(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_check_training", _no_training)
    inputs.run()
    inputs.edit_table("splits.csv", lambda table: pd.concat([table, table[table["scan_id"] == "S09"].assign(fold=3)]))

    def copy_images(images: np.ndarray) -> None:
        images[20] = images[0]
        images[13] = images[9][:, ::-1]
        images[16, :, :, 2] = images[10, :, :, 0]

    def copy_features(bank: np.ndarray) -> None:
        bank[0, 21] = bank[0, 2]

    inputs.edit_array("images/images.npy", copy_images)
    inputs.edit_array("features/bank.npy", copy_features)
    inputs.edit_table("images/subjects.csv", _label_in_site_and_age)
    with pytest.raises(LeakageError) as caught:
        inputs.run()
    message = str(caught.value)
    assert message.startswith("5 of 7 checks failed; nothing is trained until they pass")
    for line in (
        "subject P09 (scans S09): fold 1 and 3; expected one only",
        "scans S00, S20 hold the same image: role test and train; dev_fold 0 and 1",
        "scans S09, S13 hold the same image, one of them mirrored: fold 1 and 2",
        "scans S10, S16 share a slice: fold 1 and 3",
        "scans S02, S21 have the same features, subjects P02, P21",
        "site A: 8 control, 0 pd",
        "control: mean age 40.0 years",
        "what to do: ",
    ):
        assert line in message
    findings = inputs.findings()
    assert {name for name, found in findings.items() if not found["passed"]} == set(CHECKS) - {
        "permuted_labels",
        "camera_predicts_label",
    }
    assert not any(scan in found["finding"] for found in findings.values() for scan in ("S09", "P09", "S00"))
    assert not (inputs.root / "reports/passed.json").exists()


def test_a_training_that_knows_the_held_out_labels_is_caught(inputs: Inputs, rng: np.random.Generator) -> None:
    # Each scan once more under the same subject in the next fold: whoever learns the one by heart knows the other.
    def twice(table: pd.DataFrame) -> pd.DataFrame:
        other = table.assign(scan_id=table["scan_id"] + "b")
        if "fold" in table:
            other["fold"] = table["fold"] % 3 + 1
        return pd.concat([table, other], ignore_index=True)

    inputs.edit_table("splits.csv", twice)
    inputs.edit_table("cameras.csv", twice)
    inputs.edit_table("images/subjects.csv", twice)
    write_array(inputs.root / "images/images.npy", rng.random((2 * N, 12, 10, 3)).astype(np.float32))
    own = rng.normal(size=(N, 64))
    bank = np.stack([np.concatenate([own, own + 1e-2])] * 2).astype(np.float16)
    write_array(inputs.root / "features/bank.npy", bank)
    checked = inputs.params.read_text("utf-8").replace("permuted_epochs: 3", "permuted_epochs: 40")
    inputs.params.write_text(checked.replace("width: 8", "width: 64"), "utf-8")
    with pytest.raises(LeakageError, match="held-out labels reach the training"):
        inputs.run()
    found = inputs.findings()["permuted_labels"]
    assert not found["passed"]
    assert found["roc_auc"] > 0.95 > found["limit"]


@pytest.mark.parametrize(
    ("group", "column", "finding"),
    [
        ("none", "signature", "camera by its signature alone: out-of-fold ROC AUC"),
        ("site", "signature", "camera by its signature alone: out-of-fold ROC AUC"),
        ("scanner", "group", "camera by scanner alone: out-of-fold ROC AUC"),
    ],
)
def test_a_camera_that_tells_the_label_stops_the_graph(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch, group: str, column: str, finding: str
) -> None:
    monkeypatch.setattr(checks, "_check_training", _no_training)
    inputs.set_params(split={"group": group})

    def tell(cameras: pd.DataFrame) -> pd.DataFrame:
        camera = np.where(cameras["label"] == "pd", "new one", "old one")
        return cameras.assign(group="A", grouped_fold=1).assign(**{column: camera})

    inputs.edit_table("cameras.csv", tell)
    with pytest.raises(LeakageError) as caught:
        inputs.run()
    found = inputs.findings()["camera_predicts_label"]
    assert found["roc_auc"] == pytest.approx(1.0)
    assert not found["passed"]
    assert found["finding"].startswith(finding)
    for line in ("camera old one: 8 control, 0 pd", "camera new one: 0 control, 16 pd", "raise checks.camera_auc"):
        assert line in str(caught.value)
    inputs.set_params(checks={"camera_auc": 1.0})
    assert inputs.run()["camera_predicts_label"]["passed"]


def test_a_group_or_a_subject_or_an_image_on_two_sides_of_the_grouped_folds_is_named(
    inputs: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "_check_training", _no_training)

    def with_folds(cameras: pd.DataFrame) -> pd.DataFrame:
        return cameras.assign(group=[f"g{int(scan[1:]) % 6}" for scan in cameras["scan_id"]]).assign(
            grouped_fold=[int(scan[1:]) % 3 + 1 for scan in cameras["scan_id"]]
        )

    inputs.edit_table("cameras.csv", with_folds)
    inputs.run()

    def cross(cameras: pd.DataFrame) -> pd.DataFrame:
        cameras = with_folds(cameras).set_index("scan_id", drop=False)
        cameras.loc["S06", "grouped_fold"] = 2  # of g0, whose fold is 1
        return cameras

    inputs.edit_table("cameras.csv", cross)
    inputs.edit_table("splits.csv", lambda table: table.replace({"subject_id": {"P10": "P09"}}))

    def copy_image(images: np.ndarray) -> None:
        images[18] = images[11]

    inputs.edit_array("images/images.npy", copy_image)
    with pytest.raises(LeakageError) as caught:
        inputs.run()
    message = str(caught.value)
    assert "group g0: grouped_fold 1 and 2; expected one only" in message
    assert "subject P09 (scans S09, S10): grouped_fold 1 and 2; expected one only" in message
    assert "grouped_fold 1 and 3" in message.partition("scans S11, S18 hold the same image")[2].splitlines()[0]


def test_tables_of_other_cohorts_are_refused(inputs: Inputs) -> None:
    inputs.edit_table("splits.csv", lambda table: table.replace({"scan_id": {"S04": "S99"}}))
    with pytest.raises(CohortError, match="not of one cohort"):
        inputs.run()


def test_a_split_table_of_one_fold_is_refused(inputs: Inputs) -> None:
    inputs.edit_table("splits.csv", lambda table: table.assign(fold=1))
    with pytest.raises(CohortError, match="expected two or more folds"):
        inputs.run()


def _no_training(*_: object) -> checks.Check:
    return checks.Check("permuted_labels", True, "not trained here")


def _label_in_site_and_age(subjects: pd.DataFrame) -> pd.DataFrame:
    is_pd = subjects["label"] == "pd"
    return subjects.assign(site=np.where(is_pd, "B", "A"), age=np.where(is_pd, 70.0, 40.0))
