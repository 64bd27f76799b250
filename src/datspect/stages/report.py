"""Stage `report`: the results beside the paper's, as Markdown and as one HTML page; and the few that DVC compares."""

import logging
import os
from importlib import import_module
from pathlib import Path
from typing import Any

from datspect.errors import CohortError
from datspect.io.atomic import write_text
from datspect.io.png import write_figure
from datspect.io.records import read_json, write_json
from datspect.io.tables import read_table
from datspect.params.base import PARAMS_PATH, read_params
from datspect.params.recipes import PAPER
from datspect.reporting.document import FIGURE_FOLDER, report_markdown, report_title
from datspect.reporting.headline import headline_measures
from datspect.reporting.inputs import HeldOut, Inputs, ReportParams
from datspect.reporting.model_comparison import report_figures
from datspect.reporting.page import html_page, image_links
from datspect.running.launch import launch

log = logging.getLogger("datspect.report")

IMAGE_FILES = ("cohort.json", "subjects.csv", "quality.csv", "excluded.csv", "contact_sheet.png")
REPORT_FILES = {
    "cv": ("metrics.json", "run.json", "table1.csv", "predictions.csv", "training.png"),
    "final": ("metrics.json", "run.json", "predictions.csv", "training.png", "misclassified.png"),
    "baselines": ("metrics.json", "predictions.csv", "holdout_predictions.csv"),
    "checks": ("metrics.json",),
    "predictor": ("metrics.json", "calibration.png"),
    "other_groups": ("metrics.json",),
    "robustness": ("metrics.json", "robustness.png"),
    "grouped": ("metrics.json",),
}
"""What is read of each stage's folder of reports."""

_IDS = ("scan_id", "subject_id", "label")
_PREDICTION = (*_IDS, "probability", "prediction")
_BASELINE = ("baseline", *_IDS, "score")
_QUALITY = ("scan_id", "sbr_putamen_left", "sbr_putamen_right", "flags")
_PREDICTOR = (
    *("cohort_kind", "training_role", "evidence", "holdout", "holdout_decisions", "holdout_typical"),
    "holdout_withheld",
)
_ROBUSTNESS = ("cohort_kind", "rows", "as_good", "mixed_resolution")
_RUN = (
    *("result_id", "code_sha256", "params_sha256", "data_sha256", "splits_sha256"),
    *("cohort", "features", "git", "releases", "started", "mlflow"),
)


def main(images_folder: Path, splits_path: Path, reports_folder: Path, params_path: Path = PARAMS_PATH) -> None:
    """Read what the stages wrote; write figures/, report.md, report.html and metrics.json into the reports folder."""
    _look(images_folder, splits_path, reports_folder)
    inputs = read_inputs(images_folder, splits_path, reports_folder, read_params(ReportParams, params_path))
    for name, figure in report_figures(inputs).items():
        write_figure(reports_folder / FIGURE_FOLDER / f"{name}.png", figure)
    contact_sheet = Path(os.path.relpath(images_folder / "contact_sheet.png", reports_folder)).as_posix()
    markdown = report_markdown(inputs, contact_sheet)
    images = {link: (reports_folder / link).read_bytes() for link in image_links(markdown)}
    banner = inputs.scope.banner
    write_json(reports_folder / "metrics.json", headline_measures(inputs))
    write_text(reports_folder / "report.md", markdown)
    write_text(reports_folder / "report.html", html_page(markdown, images, report_title(inputs), banner))
    log.info("%s (%s)", reports_folder / "report.html", inputs.scope.caption)
    _send(reports_folder, params_path)


def _look(images_folder: Path, splits_path: Path, reports_folder: Path) -> None:
    """Say which inputs are not those that dvc.lock names; under `dvc repro` they are."""
    # Named, not imported: what is said is no output.
    root = import_module("datspect.running.addresses").repository_root()
    if not (root / "dvc.lock").is_file():
        return
    paths = [images_folder / name for name in IMAGE_FILES] + [splits_path]
    paths += [reports_folder / stage / name for stage, names in REPORT_FILES.items() for name in names]
    if remark := import_module("datspect.release.dvc_lock").remark_on(root, paths):
        log.warning("%s", remark)


def _send(reports_folder: Path, params_path: Path) -> None:
    # Named, not imported: what MLflow gets is no output, so the stage depends neither on how it is sent nor on Keras.
    share = import_module("datspect.params.whole").load_params(params_path).tracking.share_subject_level
    import_module("datspect.training.to_mlflow").send_report(reports_folder, share_subject_level=share)


def read_inputs(images: Path, splits: Path, reports: Path, params: ReportParams) -> Inputs:
    """Read everything that the report is made of.

    Raises
    ------
    CohortError : files are missing, lack columns or keys, or are not of one cohort.
    """
    _check_presence(images, splits, reports)
    inputs = Inputs(
        params=params,
        cohort=_read_record(images / "cohort.json", ("kind", "n", "n_excluded", "digest")),
        subjects=read_table(images / "subjects.csv", (*_IDS, "sex", "age", "site")),
        quality=read_table(images / "quality.csv", _QUALITY)[list(_QUALITY)],
        excluded=read_table(images / "excluded.csv", ("scan_id", "reason")),
        splits=read_table(splits, (*_IDS, "role")),
        table_1=read_table(reports / "cv/table1.csv", ("fold", "n_validation")),
        cv_metrics=_read_record(reports / "cv/metrics.json", ("cohort_kind", "cv", "out_of_fold")),
        final_metrics=_read_record(reports / "final/metrics.json", ("cohort_kind", "holdout")),
        baseline_metrics=_read_record(reports / "baselines/metrics.json", ("cohort_kind", "out_of_fold", "holdout")),
        check_metrics=_read_record(reports / "checks/metrics.json", ("cohort_kind", "checks")),
        predictor_metrics=_read_record(reports / "predictor/metrics.json", _PREDICTOR),
        other_group_metrics=_read_record(reports / "other_groups/metrics.json", ("cohort_kind", "groups", "holdout")),
        robustness_metrics=_read_record(reports / "robustness/metrics.json", _ROBUSTNESS),
        grouped_metrics=_read_record(reports / "grouped/metrics.json", ("cohort_kind", "group")),
        cv_run=_read_record(reports / "cv/run.json", _RUN),
        final_run=_read_record(reports / "final/run.json", _RUN),
        out_of_fold=HeldOut(
            read_table(reports / "cv/predictions.csv", (*_PREDICTION, "fold")),
            read_table(reports / "baselines/predictions.csv", _BASELINE),
        ),
        holdout=HeldOut(
            read_table(reports / "final/predictions.csv", _PREDICTION),
            read_table(reports / "baselines/holdout_predictions.csv", _BASELINE),
        ),
    )
    _check_unity(inputs)
    return inputs


def _check_presence(images: Path, splits: Path, reports: Path) -> None:
    """Raise an error that names all missing files, each with the stage that writes it."""
    written_by = {images / name: "preprocess" for name in IMAGE_FILES} | {splits: "split"}
    written_by |= {reports / stage / name: stage for stage, names in REPORT_FILES.items() for name in names}
    missing = [f"{path}: not found; run dvc repro {stage}" for path, stage in written_by.items() if not path.is_file()]
    if missing:
        raise CohortError("\n  ".join([f"{len(missing)} file(s) of the report are missing", *missing]))


def _read_record(path: Path, keys: tuple[str, ...]) -> dict[str, Any]:
    record = read_json(path)
    missing = [key for key in keys if key not in record]
    if missing:
        raise CohortError(f"{path}: key(s) missing: {', '.join(missing)}; run dvc repro {path.parent.name}")
    return dict(record)


def _check_unity(inputs: Inputs) -> None:
    """Raise an error if a report on a phantom would hold figures of patients, or the other way round."""
    kinds = {
        "cohort.json": inputs.cohort["kind"],
        "cv/metrics.json": inputs.cv_metrics["cohort_kind"],
        "final/metrics.json": inputs.final_metrics["cohort_kind"],
        "baselines/metrics.json": inputs.baseline_metrics["cohort_kind"],
        "predictor/metrics.json": inputs.predictor_metrics["cohort_kind"],
        "checks/metrics.json": inputs.check_metrics["cohort_kind"],
        "other_groups/metrics.json": inputs.other_group_metrics["cohort_kind"],
        "robustness/metrics.json": inputs.robustness_metrics["cohort_kind"],
        "grouped/metrics.json": inputs.grouped_metrics["cohort_kind"],
    }
    digests = {
        "cohort.json": inputs.cohort["digest"],
        "cv/run.json": inputs.cv_run["cohort"]["digest"],
        "final/run.json": inputs.final_run["cohort"]["digest"],
    }
    recipes = {
        "cv/metrics.json": inputs.cv_metrics.get("recipe", PAPER),
        "final/metrics.json": inputs.final_metrics.get("recipe", PAPER),
        "baselines/metrics.json": inputs.baseline_metrics.get("recipe", PAPER),
        "predictor/metrics.json": inputs.predictor_metrics.get("recipe", PAPER),
        "checks/metrics.json": inputs.check_metrics.get("recipe", PAPER),
        "other_groups/metrics.json": inputs.other_group_metrics.get("recipe", PAPER),
        "robustness/metrics.json": inputs.robustness_metrics.get("recipe", PAPER),
        "grouped/metrics.json": inputs.grouped_metrics.get("recipe", PAPER),
    }
    for what, found in (("kind", kinds), ("digest", digests), ("recipe", recipes)):
        if len(set(found.values())) > 1:
            listed = ", ".join(f"{name} {value}" for name, value in found.items())
            raise CohortError(
                f"the reports are not of one cohort and recipe, the {what} differs: {listed}; run dvc repro"
            )


if __name__ == "__main__":
    launch(main, "reports_folder")
