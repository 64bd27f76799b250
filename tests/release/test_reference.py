"""The reference: what is written, read back from disk and from git, and what of a result enters it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.release.made_up_graph import add_run, write_graph_results
from tests.release.made_up_versions import MadeUpPredictor, images_in_lock
from tests.release.repositories import commit, run
from tests.tracking.made_up_results import PARAMS_PATH, N, write_cv, write_final

from datspect.errors import CohortError, PromotionError
from datspect.io.digests import file_digest
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table, write_table
from datspect.params.whole import load_params
from datspect.release.dvc_lock import content_md5
from datspect.release.promoting import Side, Wish, decide, promote
from datspect.release.reference import (
    ABOUT,
    ANSWERS,
    READ,
    reference_at,
    reference_on_disk,
    results_on_disk,
    write_reference,
)
from datspect.release.registering import OUTPUTS, read_registrable, register
from datspect.release.registry import CHAMPION, Registry
from datspect.release.reproduction import COMMIT_TAG, reproduced_commit, reproduction_tags, verdict
from datspect.release.tracing import links, traced


def edit(path: Path, **changes: object) -> None:
    write_json(path, read_json(path) | changes)


@pytest.fixture
def results(project: Path) -> Path:
    """A project in which cv and final have run."""
    write_cv(project)
    write_final(project)
    return project


def test_the_answers_are_those_of_both_stages(results: Path) -> None:
    found = results_on_disk(results)
    assert found.answers["where"].value_counts().to_dict() == {"out of fold": N, "on the holdout": 6}
    holdout = read_table(results / "reports/final/predictions.csv")["probability"]
    assert found.answers["probability"].tail(6).tolist() == holdout.tolist()
    record = read_json(results / "reports/final/run.json")
    assert found.about["digests"]["draw 0 of the bank of features"] == record["features"]["sha256_by_draw"][0]
    assert found.about["parameters"]["preprocess.slices"] == "[40, 41, 42]"
    assert not [name for name in found.about["parameters"] if name.startswith("finetuning.")]  # frozen: of no effect
    assert found.about["causes"]["precision"] == "float32"


def test_what_is_written_is_read_back_from_disk_and_from_a_commit(results: Path) -> None:
    found = results_on_disk(results)
    assert reference_on_disk(results) is None
    write_reference(results, found)
    run(results, "git", "init", "--quiet")
    first = commit(results, "results")
    for again in (reference_on_disk(results), reference_at(results, first)):
        assert again is not None
        pd.testing.assert_frame_equal(again.answers, found.answers)
        assert again.about == found.about
        assert verdict(again, found).first_difference == ""
    assert reference_at(results, "0" * 40) is None


def test_rows_of_real_subjects_never_become_the_reference(project: Path) -> None:
    write_cv(project, "real")
    write_final(project, "real")
    with pytest.raises(PromotionError, match="takes a phantom cohort only; this cohort is real"):
        write_reference(project, results_on_disk(project))
    assert not (project / ANSWERS).exists()
    assert not (project / ABOUT).exists()


def test_a_record_of_an_earlier_release_says_what_to_do(results: Path) -> None:
    path = results / "reports/final/run.json"
    record = read_json(path)
    del record["machine"]
    write_json(path, record)
    with pytest.raises(CohortError, match=r"no machine in it, as in earlier releases; run dvc repro"):
        results_on_disk(results)


class TestResultsOfAnotherMachine:
    """The graph ran anew from the same commit, and only last digits are others."""

    @pytest.fixture
    def head(self, project: Path) -> str:
        """A commit of a lock file and the reference; the results on disk differ from it, as the lock file says."""
        write_graph_results(project)
        write_cv(project)
        edit(project / "reports/final/run.json", git={"commit": "x", "dirty": False, "changed": []})
        write_reference(project, results_on_disk(project))
        (project / ".gitignore").write_text(
            "*\n!dvc.lock\n!reports\n!reports/reference\n!reports/reference/*\n", "utf-8"
        )
        self.lock(project)
        head = commit(project, "results of one machine")
        self.shift(project, 1e-4)
        return head

    @staticmethod
    def lock(project: Path, code: str = "1") -> None:
        made = {path: content_md5(project / path) for path in (*OUTPUTS, *READ)} | images_in_lock(project)
        outputs = "".join(f"    - path: {path}\n      md5: {md5}\n" for path, md5 in made.items())
        deps = f"    deps:\n    - path: src/code.py\n      md5: '{code}'\n"
        text = f"schema: '2.0'\nstages:\n  all:\n    cmd: run\n{deps}    outs:\n{outputs}"
        (project / "dvc.lock").write_text(text, encoding="utf-8")

    def shift(self, project: Path, by: float, code: str = "1") -> None:
        for reports in (project / "reports/cv", project / "reports/final"):
            path, record = reports / "predictions.csv", read_json(reports / "run.json")
            table = read_table(path)
            write_table(path, table.assign(probability=table["probability"] + by))
            edit(reports / "run.json", files=record["files"] | {path.name: file_digest(path)})
        self.lock(project, code)

    def test_they_reproduce_the_commits(self, project: Path, head: str) -> None:
        tags = reproduction_tags(project, head)
        assert tags[COMMIT_TAG] == head
        assert reproduced_commit(project, tags) == head
        assert reproduced_commit(project, {}) is None
        assert reproduced_commit(project, tags | {COMMIT_TAG: "0" * 40}) is None
        assert reproduced_commit(project, tags | {"datspect.recipe_sha256": "0" * 64}) is None

    def test_other_answers_reproduce_nothing(self, project: Path, head: str) -> None:
        self.shift(project, 0.2)
        assert reproduction_tags(project, head) == {}

    def test_other_code_reproduces_nothing(self, project: Path, head: str) -> None:
        self.lock(project, code="2")
        assert reproduction_tags(project, head) == {}

    def test_files_that_are_not_the_locked_ones_reproduce_nothing(self, project: Path, head: str) -> None:
        before = (project / "dvc.lock").read_bytes()
        self.shift(project, 1e-4)
        (project / "dvc.lock").write_bytes(before)
        assert reproduction_tags(project, head) == {}

    def test_a_commit_without_a_reference_reproduces_nothing(self, project: Path, head: str) -> None:
        (project / ABOUT).unlink()
        assert reproduction_tags(project, commit(project, "no reference")) == {}
        assert reproduction_tags(project, None) == {}

    def test_whoever_ran_the_graph_without_a_change_can_register_and_promote(
        self, project: Path, head: str, registry: Registry
    ) -> None:
        """Made-up figures fail floors, hence `force`, which moves nothing against a refusal."""
        record = project / "reports/final/run.json"
        edit(record, git={"commit": head, "dirty": False, "changed": []})
        images = project / "data/images"
        answers = read_table(project / "reports/final/predictions.csv").set_index("scan_id")["probability"]
        scans = read_table(images / "subjects.csv")["scan_id"]
        np.save(images / "images.npy", scans.map(answers).fillna(0).to_numpy()[:, None, None, None])
        write_json(
            images / "cohort.json", {"digest": read_json(project / "reports/final/run.json")["cohort"]["digest"]}
        )
        self.lock(project)
        add_run(registry, project)
        version, _ = register(registry, read_registrable(project))
        challenger = Side(registry, version)
        vars(challenger)["predictor"] = MadeUpPredictor()
        decision = decide(registry, challenger, None, project, load_params(PARAMS_PATH), Wish())
        assert decision.refused == ()
        (found,) = (rule for rule in decision.rules if rule.name == "results in a committed dvc.lock")
        assert found.finding.startswith(f"not to the last digit; those of {head} are reproduced: ")
        assert promote(registry, challenger, None, decision, Wish(force=True, reason="of a newcomer"))
        assert registry.named(CHAMPION).number == version.number
        trace = traced(version, project)
        assert (trace.lock_commit, trace.reproduces) == (None, head)
        (in_git,) = (link for link in links(registry, trace, project) if link.name == "outputs in git")
        assert in_git.holds
