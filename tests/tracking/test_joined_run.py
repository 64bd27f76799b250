"""A run that several processes share: one of them creates it, whoever comes first."""

import os
import socket
import threading
import time

import pytest

from datspect import tracking
from datspect.tracking import joining, search

KEY = ("datspect.study_id", "abc")

# Both look for the run before either creates it.
TWO_AT_ONCE = """
from pathlib import Path
from datspect.tracking import joining

search, looks = joining._runs, []

def look(connection, key):
    found = search(connection, key)
    looks.append(len(found))
    Path(f"looked-{os.getpid()}").touch()
    while len(looks) == 1 and len(list(Path().glob("looked-*"))) < 2:
        time.sleep(0.01)
    return found

joining._runs = look
with joining.open_joined_run("study", stage="tune", experiment="datspect", key=("datspect.study_id", "abc")) as run:
    with run.child(f"trial of {os.getpid()}"):
        print(run.run_id, looks[0])
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(joining, "_SETTLING_SECONDS", 0.0)


def open_study(key=KEY, **options):
    return tracking.open_joined_run("study", stage="tune", experiment="datspect", key=key, **options)


def rival(recorded, started_ms, **tags):
    """The run of another process of another host."""
    experiment = recorded.client.get_experiment_by_name(recorded.experiment)
    all_tags = {"datspect.stage": "tune", "datspect.host": "elsewhere", KEY[0]: KEY[1], **tags}
    return recorded.client.create_run(experiment.experiment_id, started_ms, all_tags, "rival").info.run_id


def before_the_second_look(monkeypatch, happens):
    """Let something happen between the first look for the run and what follows."""
    look, looks = joining._runs, []

    def watched(connection, key):
        if len(looks) == 1:
            happens()
        looks.append(look(connection, key))
        return looks[-1]

    monkeypatch.setattr(joining, "_runs", watched)


def test_whoever_comes_later_goes_on_with_the_same_run(recorded):
    with open_study(params={"trials": 20}, tags={"space": "first"}) as first, first.child("trial-0000"):
        pass
    assert recorded.status() == {"study": "FINISHED", "trial-0000": "FINISHED"}
    with open_study(params={"trials": 50}, tags={"space": "second"}) as second, second.child("trial-0001"):
        assert recorded.client.get_run(first.run_id).info.status == "RUNNING"
    (parent,) = recorded.parents()
    assert {first.run_id, second.run_id} == {parent.info.run_id}
    assert parent.info.status == "FINISHED"
    assert parent.data.params == {"trials": "20"}
    assert parent.data.tags["space"] == "second"
    assert {run.info.run_name for run in recorded.children(parent.info.run_id)} == {"trial-0000", "trial-0001"}


def test_another_key_is_another_run(recorded):
    for value in ("abc", "abd"):
        with open_study(("datspect.study_id", value)):
            pass
    assert len(recorded.parents()) == 2


def test_a_child_is_never_taken_for_the_run(recorded):
    with open_study() as run, run.child("earlier", tags={KEY[0]: KEY[1]}, times=tracking.Times(1, 2)):
        pass
    with open_study() as again:
        assert again.run_id == run.run_id


def test_the_one_who_joins_owns_the_run(recorded):
    with open_study() as run:
        recorded.client.set_tag(run.run_id, "datspect.host", "elsewhere")
    with open_study():
        tags = recorded.client.get_run(run.run_id).data.tags
        assert (tags["datspect.host"], tags["datspect.pid"]) == (socket.gethostname(), str(os.getpid()))


def test_a_run_that_was_deleted_is_not_brought_back(recorded):
    with open_study() as deleted:
        pass
    recorded.client.delete_run(deleted.run_id)
    with open_study() as run:
        assert run.run_id != deleted.run_id
    assert recorded.status() == {"study": "FINISHED"}


def test_of_two_created_at_once_the_earlier_is_used_and_ours_goes_if_it_came_later(recorded, monkeypatch):
    with open_study(("other", "study")):
        pass
    before_the_second_look(monkeypatch, lambda: rival(recorded, int(time.time() * 1000) - 5000))
    with open_study(params={"trials": 20}) as run, run.child("trial-0000"):
        pass
    left = recorded.runs(f"tags.`{KEY[0]}` = '{KEY[1]}'")
    assert [(found.info.run_id, found.info.run_name) for found in left] == [(run.run_id, "rival")]
    assert [child.info.run_name for child in recorded.children(run.run_id)] == ["trial-0000"]


def test_of_two_created_at_once_ours_is_used_if_it_came_first_and_the_other_is_not_ours_to_delete(
    recorded, monkeypatch
):
    with open_study(("other", "study")):
        pass
    before_the_second_look(monkeypatch, lambda: rival(recorded, int(time.time() * 1000) + 5000))
    with open_study() as run:
        pass
    assert {found.info.run_name for found in recorded.runs(f"tags.`{KEY[0]}` = '{KEY[1]}'")} == {"study", "rival"}
    assert recorded.by_name()["study"].info.run_id == run.run_id


def test_of_two_created_in_the_same_millisecond_the_smaller_id_is_used_by_all(recorded):
    with open_study(("other", "study")) as run:
        pass
    ids = [rival(recorded, 1_000_000) for _ in range(3)]
    assert [found.info.run_id for found in joining._runs(run.connection, KEY)] == sorted(ids)


def test_a_run_that_is_about_to_give_way_is_not_joined(recorded, monkeypatch):
    with open_study(("other", "study")):
        pass
    now = int(time.time() * 1000)
    loser = rival(recorded, now)

    def settle():
        rival(recorded, now - 100, place="first")
        recorded.client.delete_run(loser)

    before_the_second_look(monkeypatch, settle)
    with open_study() as run:
        assert recorded.client.get_run(run.run_id).data.tags["place"] == "first"


def test_a_run_that_has_ended_is_joined_without_waiting(recorded, monkeypatch):
    with open_study() as run:
        pass
    monkeypatch.setattr(joining, "_SETTLING_SECONDS", 60.0)
    with open_study() as again:
        assert again.run_id == run.run_id


@pytest.mark.slow
def test_two_processes_that_look_at_once_end_in_one_run(recorded, start):
    processes = [start(TWO_AT_ONCE) for _ in range(2)]
    answers = [process.communicate(timeout=120) for process in processes]
    assert [error for _, error in answers] == ["", ""]
    (parent,) = recorded.parents()
    assert [answer for answer, _ in answers] == [f"{parent.info.run_id} 0\n"] * 2
    assert parent.info.status == "FINISHED"
    assert [child.info.status for child in recorded.children(parent.info.run_id)] == ["FINISHED"] * 2


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_it_ends_as_this_process_does(recorded, error, status):
    with open_study():
        pass
    with pytest.raises(error), open_study():
        raise error
    assert recorded.status() == {"study": status}


def test_a_run_that_is_handed_over_stays_open_however_this_process_ends(recorded):
    def hand_over(error):
        with open_study() as run:
            run.hand_over()
            if error:
                raise error

    hand_over(None)
    assert recorded.status() == {"study": "RUNNING"}
    with pytest.raises(KeyboardInterrupt):
        hand_over(KeyboardInterrupt())
    assert recorded.status() == {"study": "RUNNING"}


def test_children_of_a_killed_process_are_closed_and_its_run_goes_on(recorded):
    with open_study() as run, run.child("trial-0000"):
        pass
    for one in recorded.runs():
        recorded.client.set_tag(one.info.run_id, "datspect.process_started", "1.0")
        recorded.client.update_run(one.info.run_id, "RUNNING")
    with open_study():
        assert recorded.status() == {"study": "RUNNING", "trial-0000": "KILLED"}
    assert recorded.status() == {"study": "FINISHED", "trial-0000": "KILLED"}


def test_no_system_metrics_are_sampled(recorded):
    with open_study():
        assert "SystemMetricsMonitor" not in {thread.name for thread in threading.enumerate()}


def test_a_child_of_the_past_keeps_its_times(recorded):
    with open_study() as run, run.child("trial-0000", times=tracking.Times(1_000, 61_000)) as child:
        child.log_metrics({"score": 0.25})
    info = recorded.by_name()["trial-0000"].info
    assert (info.start_time, info.end_time) == (1_000, 61_000)
    assert [point.timestamp for point in recorded.client.get_metric_history(child.run_id, "score")] == [61_000]


def test_finished_children_are_told_by_a_tag_however_many_there_are(recorded, monkeypatch):
    monkeypatch.setattr(search, "_RUNS_PER_PAGE", 2)
    with open_study() as run:
        for number in range(5):
            with run.child(f"trial-{number:04d}", tags={"datspect.trial": number}):
                pass
        with run.child("of another kind"):
            pass
        with run.child("open", tags={"datspect.trial": 5}):
            assert run.finished_children("datspect.trial") == {"0", "1", "2", "3", "4"}
            assert run.finished_children("datspect.trial", "3") == {"3"}
            assert run.finished_children("datspect.trial", "5") == set()


def test_unfinished_children_are_closed_in_favour_of_another(recorded):
    with open_study() as run:
        with pytest.raises(ValueError), run.child("failed", tags={"datspect.trial": 1}):  # noqa: PT011
            raise ValueError
        with (
            run.child("open", tags={"datspect.trial": 1}),
            run.child("other trial", tags={"datspect.trial": 2}),
            run.child("new", tags={"datspect.trial": 1}) as new,
        ):
            run.supersede_children("datspect.trial", "1", new)
            runs = recorded.by_name()
    assert {name: found.info.status for name, found in runs.items()} == {
        "study": "RUNNING", "failed": "FAILED", "open": "KILLED", "other trial": "RUNNING", "new": "RUNNING",
    }  # fmt: skip
    superseded = {name for name, found in runs.items() if found.data.tags.get("datspect.superseded_by") == new.run_id}
    assert superseded == {"failed", "open"}


def test_without_a_store_there_is_one_warning_and_a_run_that_does_nothing(empty_project, monkeypatch, caplog):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with open_study(params={"trials": 20}) as run, run.child("trial-0000") as child:
        assert run.finished_children("datspect.trial") == set()
        run.supersede_children("datspect.trial", "0", child)
        run.hand_over()
        assert run.run_id is None
    (warning,) = caplog.records
    assert "not recorded any further. The study goes on" in warning.getMessage()
    assert warning.getMessage().endswith("the next `datspect tune` sends it")  # and no other command
    assert "relog" not in warning.getMessage()


def test_a_store_that_refuses_the_run_costs_one_warning_and_no_waiting(recorded, monkeypatch, caplog):
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    def refuse(*_args, **_kwargs):
        raise MlflowException("no space left")

    monkeypatch.setattr(MlflowClient, "create_run", refuse)
    monkeypatch.setattr(joining, "_SETTLING_SECONDS", 60.0)
    with open_study() as run:
        assert run.run_id is None
    assert len(caplog.records) == 1
