"""What the leakage and chance checks found."""

from collections.abc import Mapping

from datspect.reporting.inputs import Record
from datspect.reporting.markdown import markdown_table


def checks_table(checks: Mapping[str, Record]) -> str:
    """Name, finding and outcome of every check, those that did not pass first."""
    rows = [["check", "passed", "finding"]]
    for name, check in sorted(checks.items(), key=lambda item: (item[1]["passed"], item[0])):
        rows.append([name.replace("_", " "), "yes" if check["passed"] else "NO", check["finding"]])
    return markdown_table(rows, n_text_columns=3)
