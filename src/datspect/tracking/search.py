"""Find the runs of an experiment that meet a condition, however many there are."""

from typing import Any

_RUNS_PER_PAGE = 1000


def all_runs(client: Any, experiment_id: str, condition: str) -> list[Any]:
    """Return every run that meets `condition` and is not deleted, the earliest first, and by id at equal times."""
    page = client.search_runs([experiment_id], condition, max_results=_RUNS_PER_PAGE)
    found = list(page)
    while page.token:
        page = client.search_runs([experiment_id], condition, max_results=_RUNS_PER_PAGE, page_token=page.token)
        found += page
    return sorted(found, key=lambda run: (run.info.start_time, run.info.run_id))
