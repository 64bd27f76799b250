from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from datspect.cohort.table import LABELS, read_cohort
from datspect.imaging.volume import MNI_SHAPE, mni_affine
from datspect.io.digests import file_digest
from datspect.io.volumes import read_volume
from datspect.params.data import SimulatedGroups
from datspect.params.whole import load_params
from datspect.phantom.acquisition import draw_acquisition
from datspect.phantom.anatomy import draw_anatomy
from datspect.phantom.binding import MEASURED, draw_person
from datspect.phantom.cohort import (
    build_laboratory,
    cohort_members,
    course_of,
    pseudonym,
    scanned_together,
    simulate,
    simulate_together,
    truth_row,
    write_phantom_cohort,
)

ROOT = Path(__file__).parents[2]


def resized(laboratory, **sizes):
    return type(laboratory)(**(vars(laboratory) | {"params": laboratory.params.model_copy(update=sizes)}))


@pytest.fixture(scope="module")
def written(laboratory, tmp_path_factory) -> tuple[Path, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("phantom") / "cohort"
    return folder, write_phantom_cohort(folder, laboratory, n_workers=1)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_cohort_folder_is_written_whole(written, phantom_params):
    folder, truth = written
    cohort = read_cohort(folder)
    assert cohort.kind == "phantom"
    assert cohort.scans["label"].value_counts().to_dict() == {"pd": 4, "control": 2}
    assert list(truth["scan_id"]) == list(cohort.scans["scan_id"])
    assert cohort.scans["subject_id"].is_unique
    for scan in cohort.scans.itertuples():
        volume = read_volume(folder / str(scan.path))
        assert volume.data.dtype == np.int16
        assert volume.data.shape == MNI_SHAPE
        assert isinstance(volume.data, np.memmap)
        np.testing.assert_array_equal(volume.affine, mni_affine())
        assert file_digest(folder / str(scan.path)) == scan.sha256


@pytest.mark.slow
def test_the_number_of_workers_changes_no_byte(written, laboratory, tmp_path):
    folder, truth = written
    again = write_phantom_cohort(tmp_path / "cohort", laboratory, n_workers=2)
    assert contents(tmp_path / "cohort") == contents(folder)
    pd.testing.assert_frame_equal(again, truth)


def test_a_smaller_cohort_holds_the_first_of_each_class_unchanged(written, laboratory, tmp_path):
    folder, truth = written
    smaller = write_phantom_cohort(tmp_path / "cohort", resized(laboratory, n_pd=2, n_control=1), n_workers=1)
    large, small = contents(folder), contents(tmp_path / "cohort")
    kept = {pseudonym(laboratory.params.seed, label, i) for label, i in [("control", 0), ("pd", 0), ("pd", 1)]}
    assert {scan_id[:9] for scan_id in smaller["scan_id"]} == kept
    assert all(large[name] == data for name, data in small.items() if name.endswith(".nii"))
    expected = truth[truth["scan_id"].isin(smaller["scan_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(smaller, expected)


def test_other_groups_join_the_cohort_and_change_no_byte_of_it(written, laboratory, tmp_path):
    folder, truth = written
    groups = SimulatedGroups(swedd=1, atypical=1, vascular=1)
    larger = write_phantom_cohort(tmp_path / "cohort", resized(laboratory, other_groups=groups), n_workers=1)
    before, after = contents(folder), contents(tmp_path / "cohort")
    assert all(after[name] == data for name, data in before.items() if name.endswith(".nii"))
    is_new = larger["label"].isin(["swedd", "atypical", "vascular"])
    assert is_new.sum() == 3
    assert (larger["course"][is_new] == "typical").all()
    pd.testing.assert_frame_equal(larger[~is_new].reset_index(drop=True), truth)
    scans = [read_cohort(place).scans.set_index("scan_id") for place in (folder, tmp_path / "cohort")]
    pd.testing.assert_frame_equal(scans[1].loc[scans[0].index], scans[0])
    measured = larger.set_index("label")[[f"measured_{name}" for name in MEASURED]]
    assert (measured.loc["atypical"] < 0.6 * measured.loc["swedd"]).all()


def test_a_subject_is_drawn_by_seed_class_and_number_alone(laboratory):
    first = simulate(laboratory, "pd", 3)
    larger = simulate(resized(laboratory, n_pd=300), "pd", 3)
    np.testing.assert_array_equal(first.data, larger.data)
    others = [simulate(laboratory, "pd", 2), simulate(laboratory, "control", 3)]
    others.append(simulate(resized(laboratory, seed=1), "pd", 3))
    assert all((first.person.binding != other.person.binding).all() for other in others)


def test_rows_are_shuffled_by_the_seed(phantom_params):
    large = phantom_params.model_copy(update={"n_pd": 449, "n_control": 210})
    is_pd = [label == "pd" for label, _ in cohort_members(large)]
    assert abs(np.corrcoef(is_pd, np.arange(659))[0, 1]) < 0.1
    assert cohort_members(large) != cohort_members(large.model_copy(update={"seed": 1}))


def test_a_pseudonym_is_its_own_and_does_not_tell_the_class():
    names = {pseudonym(7, label, index) for label in ("control", "pd") for index in range(500)}
    assert len(names) == 1000
    assert {len(name) for name in names} == {9}


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_the_asked_for_number_of_subjects_is_not_typical(phantom_params, seed):
    params = phantom_params.model_copy(update={"seed": seed})
    controls = Counter(course_of(params, "control", index) for index in range(210))
    patients = Counter(course_of(params, "pd", index) for index in range(449))
    assert abs(controls["discordant"] - params.discordant_control * 210) < 1
    assert controls["borderline"] == 0
    assert abs(patients["discordant"] - params.discordant_pd * 449) < 1
    # Who is both counts as discordant.
    assert abs(patients["borderline"] - params.borderline_pd * 449) < 2


def test_sites_and_their_families_do_not_depend_on_the_class(laboratory):
    """A site is drawn from a subject's own stream, by the sites' sizes alone."""
    sizes = {site.name: site.size for site in laboratory.sites}
    for label in ("control", "pd"):
        drawn = Counter(_drawn_site(laboratory, label, index) for index in range(300))
        for name, size in sizes.items():
            assert drawn[name] / 300 == pytest.approx(size / sum(sizes.values()), abs=0.1)


def test_a_shortcut_by_site_leaves_everything_but_the_site_as_it_was(laboratory):
    sites_of = {}
    for share in (0.0, 1.0):
        planted = replace(laboratory, params=laboratory.params.model_copy(update={"site_by_label": share}))
        simulations = [simulate(planted, label, index) for label in LABELS for index in range(3)]
        sites_of[share] = [each.acquisition.site for each in simulations]
        if share == 0:
            plain = simulations
    assert sites_of[0.0] == [
        simulate(laboratory, label, index).acquisition.site for label in LABELS for index in range(3)
    ]
    assert set(sites_of[1.0][:3]).isdisjoint(sites_of[1.0][3:])
    for before, after in zip(plain, simulations, strict=True):
        assert repr(before.person) == repr(after.person)
        assert before.anatomy.brain_uptake == after.anatomy.brain_uptake
        np.testing.assert_array_equal(before.true_binding, after.true_binding)


def _drawn_site(laboratory, label, index):
    rng = np.random.default_rng([LABELS.index(label), index])
    person = draw_person(label, "typical", laboratory.params.posterior_ratio_sd, rng)
    draw_anatomy(laboratory.params, person, rng)
    return draw_acquisition(laboratory.sites, rng).site


def test_scans_measure_about_what_was_drawn(laboratory):
    drawn, measured = [], []
    for label, index in [("control", 0), ("control", 1), ("pd", 0), ("pd", 1), ("pd", 2)]:
        simulation = simulate(laboratory, label, index)
        row = truth_row(simulation, laboratory.regions)
        drawn.append(simulation.person.binding)
        measured.append([row[f"measured_{name}"] for name in MEASURED])
        assert [row[f"true_{name}"] for name in MEASURED] == pytest.approx(simulation.true_binding, abs=1e-4)
        assert abs(row["peak_slice"] - 41) <= 2
    # The recovery is an average over heads and cameras: each has its own.
    deviation = np.log(np.divide(np.add(measured, 1), np.add(drawn, 1)))
    assert np.abs(deviation).mean() < 0.2
    assert np.corrcoef(np.ravel(measured), np.ravel(drawn))[0, 1] > 0.85


@pytest.mark.long
def test_the_phantom_is_as_hard_as_real_scans():
    """Compare as benchmarks/phantom.py does, one seed and every third subject; limits are wider by sampling error."""
    from joblib import Parallel, delayed

    params = load_params(ROOT / "params.yaml").phantom.model_copy(update={"n_pd": 150, "n_control": 70, "seed": 1})
    laboratory = build_laboratory(params)
    rows = Parallel(n_jobs=-1)(delayed(_truth)(laboratory, *member) for member in cohort_members(params))
    truth = pd.DataFrame(rows)
    is_pd = truth["label"] == "pd"
    putamen = truth[["measured_putamen_left", "measured_putamen_right"]]
    caudate = truth[["measured_caudate_left", "measured_caudate_right"]]
    published = [(caudate, ~is_pd, 2.99, 0.62), (putamen, ~is_pd, 2.14, 0.57)]
    published += [(caudate, is_pd, 1.99, 0.57), (putamen, is_pd, 0.84, 0.34)]
    for values, group, mean, sd in published:
        measured = values[group].mean(axis=1)
        # Seeds have sites of their own, and borderline subjects raise the mean of PD.
        assert measured.mean() == pytest.approx(mean, rel=0.14)
        assert measured.std() == pytest.approx(sd, rel=0.35)
    ratio = sum(
        truth[f"measured_putamen_posterior_{side}"] / truth[f"measured_putamen_anterior_{side}"]
        for side in ("left", "right")
    )
    assert 0.94 < roc_auc_score(is_pd, -putamen.min(axis=1)) < 0.995
    assert roc_auc_score(is_pd, -ratio) < 0.97
    assert truth["peak_slice"].between(40, 42).mean() >= 0.87


def _truth(laboratory, label, index):
    return truth_row(simulate(laboratory, label, index), laboratory.regions)


def test_subjects_of_one_site_are_scanned_together_and_everybody_once(laboratory):
    large = resized(laboratory, n_pd=20, n_control=12)
    members = cohort_members(large.params)
    groups = scanned_together(large, members)
    assert sorted(member for group in groups for member in group) == sorted(members)
    assert max(map(len, groups)) == 4
    group = max(groups, key=len)
    for member, together in zip(group, simulate_together(large, group), strict=True):
        alone = simulate(large, *member)
        np.testing.assert_array_equal(together.data, alone.data)
        assert together.scan_id == alone.scan_id
    sites = [{simulation.acquisition.site for simulation in simulate_together(large, some)} for some in groups[:3]]
    assert all(len(of_group) == 1 for of_group in sites)
