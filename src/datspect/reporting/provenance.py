"""Tables of where the results of the report come from."""

from datspect.reporting.inputs import Inputs, JsonObject
from datspect.reporting.markdown import markdown_table

DIGEST_CHARACTERS = 16
"""Shown digests are cut to so many; whole ones are in the files."""


def runs_table(inputs: Inputs) -> str:
    """Return commit, time, digests and MLflow run of both training stages."""
    runs = (inputs.cv_run, inputs.final_run)
    rows = [
        ["item", "cross-validation", "final model"],
        ["result id", *(run["result_id"] for run in runs)],
        ["commit", *(_commit(run["git"]) for run in runs)],
        ["started", *(run["started"] for run in runs)],
        *(
            [name, *(short(run[key]) for run in runs)]
            for name, key in (
                ("code", "code_sha256"),
                ("parameters", "params_sha256"),
                ("data read", "data_sha256"),
                ("splits", "splits_sha256"),
            )
        ),
        ["MLflow experiment", *(run["mlflow"]["experiment"] for run in runs)],
        ["MLflow run", *(run["mlflow"]["run_id"] or "none" for run in runs)],
    ]
    return markdown_table([[str(cell) for cell in row] for row in rows], n_text_columns=3)


def materials_table(inputs: Inputs) -> str:
    """Return cohort, backbone weights and the releases of the main packages."""
    cohort, features = inputs.cohort, inputs.cv_run["features"]
    rows = [
        ["item", "value"],
        ["cohort", f"{cohort['kind']}, {cohort['n']} scans used, {cohort['n_excluded']} excluded"],
        ["cohort digest", short(cohort["digest"])],
        *(_ensemble(inputs) if inputs.of_striatum else _backbone(features)),
        ["packages", packages(inputs.cv_run)],
    ]
    return markdown_table([[str(cell) for cell in row] for row in rows], n_text_columns=2)


def _backbone(features: JsonObject) -> list[list[str]]:
    return [
        ["network", f"{features['architecture']}, {features['n_features']} features"],
        ["weights from", features["backbone_source"]],
        ["weights digest", short(features["backbone_tensor_digest"])],
        ["precision of the features", features["precision"]],
    ]


def _ensemble(inputs: Inputs) -> list[list[str]]:
    members, n_pixels = inputs.params.striatum.members, inputs.cv_run["features"]["n_features"]
    return [
        ["network", f"ensemble of {members} small networks on slabs of {n_pixels} pixels"],
        ["weights from", "random numbers, by the seeds of the heads"],
        ["precision of the training", inputs.cv_run["features"]["precision"]],
    ]


def short(digest: str) -> str:
    """Return the first `DIGEST_CHARACTERS` of a digest."""
    return str(digest)[:DIGEST_CHARACTERS]


def packages(run: JsonObject) -> str:
    """Return the releases of the packages that a run used."""
    return ", ".join(f"{name} {release}" for name, release in sorted(run["releases"].items()))


def _commit(git: JsonObject) -> str:
    if git["commit"] is None:
        return "none (no git repository)"
    return f"{git['commit'][:12]}{', with changes that are not committed' if git['dirty'] else ''}"
