"""The other campaigns: tests that attack something else than the server, run one after another with a bound."""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from datspect.reporting.markdown import markdown_table

_MINUTES = 30.0


@dataclass(frozen=True)
class Campaign:
    """Tests that try one thing."""

    what: str
    tests: tuple[str, ...]
    inputs: str = ""
    """What is varied beside the tests themselves; `{n}` stands for the inputs of `fuzz`."""


CAMPAIGNS = (
    Campaign("damaged volumes, DICOM, zips and tables at every reader", ("tests/fuzz",), "{n} inputs"),
    Campaign(
        "names and ids that steer terminals, tables, spreadsheets and figures",
        ("tests/test_text.py", "tests/io/test_sources.py", "tests/reporting/test_page.py"),
    ),
    Campaign(
        "models, predictors and registered versions of somebody else, with code in them",
        (
            "tests/modeling/test_model_files.py", "tests/prediction/test_files.py", "tests/release/test_manifest.py",
            "tests/release/test_checked.py",
        ),
    ),
    Campaign("requests without a server, and bodies that hypothesis makes up", ("tests/release/test_gateway.py",)),
    Campaign(
        "kills of workers, runs, servers and studies",
        (
            "tests/running/test_executors.py", "tests/running/test_pool.py", "tests/running/test_output_locks.py",
            "tests/running/test_servers.py", "tests/running/test_starters.py", "tests/tracking/test_endings.py",
            "tests/tracking/test_lost_results.py", "tests/tuning/test_search.py", "tests/tuning/test_lost.py",
        ),
    ),
    Campaign("a repository moved, or used from two places", ("tests/tracking/test_moved.py",)),
    Campaign("passwords on command lines", ("tests/commands/test_command_lines.py",)),
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """What came of a campaign."""

    campaign: Campaign
    n_passed: int
    n_failed: int

    @property
    def held(self) -> bool:
        """Whether every test passed, and there were some."""
        return self.n_failed == 0 < self.n_passed


def run_campaign(campaign: Campaign, n_inputs: int) -> Ended:
    """Run the tests of a campaign; one that does not end in time counts as failed."""
    environment = os.environ | {"DATSPECT_FUZZ_EXAMPLES": str(n_inputs)}
    command = [sys.executable, "-m", "pytest", "-q", "--timeout=0", "-p", "no:cacheprovider", *campaign.tests]
    try:
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60 * _MINUTES, check=False
        )
    except subprocess.TimeoutExpired:
        return Ended(campaign, 0, 1)
    passed, failed = _counts(ended.stdout)
    if ended.returncode:
        print(ended.stdout[-5000:], ended.stderr[-2000:], file=sys.stderr)
    return Ended(campaign, passed, max(failed, int(ended.returncode != 0)))


def _counts(output: str) -> tuple[int, int]:
    """Return how many tests passed and how many did not.

    >>> _counts("1 failed, 2 passed, 1 skipped in 3.2s")
    (2, 1)
    """
    last = output.strip().splitlines()[-1:] or [""]
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|errors?)", last[0])}
    return counts.get("passed", 0), sum(n for word, n in counts.items() if word != "passed")


def parts(ended: Sequence[Ended], n_inputs: int) -> list[str]:
    """Return the table of the campaigns, and below it where their tests are."""
    rows = [["what was attacked", "how often", "held"]]
    for each in ended:
        inputs = each.campaign.inputs.format(n=f"{n_inputs:,}")
        often = f"{each.n_passed + each.n_failed} tests" + (f", {inputs}" if inputs else "")
        rows.append([each.campaign.what, often, _word(each)])
    places = [f"- {each.campaign.what}: {', '.join(f'`{test}`' for test in each.campaign.tests)}" for each in ended]
    return [markdown_table(rows), "\n".join(places)]


def _word(ended: Ended) -> str:
    return "yes" if ended.held else f"NO: {ended.n_failed} failed"
