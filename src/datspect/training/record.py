"""run.json: what a training stage's result was made from, of what it consists, and which run recorded it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
from pydantic import BaseModel

from datspect.io.digests import file_digest
from datspect.io.records import write_json
from datspect.modeling.backbone import tensor_digest
from datspect.modeling.heads import FittedHead, Head
from datspect.params.fitting import FittingParams
from datspect.params.network import ParametersFrom
from datspect.tracking.provenance import git_state, machine, provenance, releases
from datspect.training.data import TrainingData
from datspect.training.description import NOTE_TAG
from datspect.training.naming import run_name
from datspect.training.settings import Settings, without_places


def run_record(
    stage: str,
    data: TrainingData,
    params: FittingParams,
    inputs: Sequence[Path],
    splits: Path,
    requirements: Sequence[str],
    settings: Settings,
    group: str | None = None,
) -> dict[str, Any]:
    """Return what is known of a run when it starts: the first part of run.json.

    `requirements`: pinned packages that the models will need; `settings`: what is told of the run beside the parameters
    that make its identity; `group`: what is held out whole in grouped folds.
    """
    sections: dict[str, BaseModel] = {"classifier": params.classifier, "training": params.training}
    if params.model == "striatum":
        sections["striatum"] = params.striatum
    elif not params.backbone.frozen:
        sections |= {"backbone": params.backbone, "finetuning": params.finetuning, "augment": params.augment}
    if params.parameters_from:
        sections["parameters_from"] = params.parameters_from
    made_of, splits_sha256 = provenance(stage, sections, inputs), file_digest(splits)
    parameters_from = origin_of_parameters(stage, params.parameters_from, data.splits, splits_sha256)
    identity = {"result_id": made_of.result_id, **asdict(made_of)}
    tags = {f"datspect.{name}": identity[name] for name in ("result_id", "code_sha256", "params_sha256")}
    tags |= data_tags(data, splits_sha256) | _training_tags(params) | _origin_tags(stage, parameters_from)
    tags["datspect.recipe"] = settings.recipe.title
    if group:
        tags["datspect.group"] = group
    git = git_state()
    return {
        "stage": stage,
        "name": run_name(f"{stage} by {group}" if group else stage, settings, git.commit),
        **identity,
        "splits_sha256": splits_sha256,
        "cohort": data.cohort,
        "features": data.bank_record,
        "params": {name: without_places(name, section.model_dump(mode="json")) for name, section in sections.items()},
        "settings": dict(settings.values),
        "parameters_from": parameters_from,
        "git": git.as_dict(),
        "releases": releases(),
        "machine": machine(),
        "requirements": list(requirements),
        "tags": tags,
        "mlflow": {"run_id": None, "experiment": params.tracking.experiment},
        "started": _now(),
    }


def write_run_record(
    folder: Path,
    record: Mapping[str, Any],
    run_id: str | None,
    heads: Sequence[Head],
    fitted: Sequence[FittedHead],
    models: Sequence[Mapping[str, Any]],
    files: Sequence[str],
) -> None:
    """Write run.json after everything else that belongs to the result; it never changes afterwards.

    `record` is what `run_record` gave; `run_id` names the MLflow run that is open now, None if none could be opened;
    `fitted` holds the trained `heads`, `models` come from `saved_model`, and `files` lie in `folder`.
    """
    of_the_end = {
        "mlflow": {**record["mlflow"], "run_id": run_id},
        "heads": [_head_entry(head, result) for head, result in zip(heads, fitted, strict=True)],
        "models": list(models),
        "files": {name: file_digest(folder / name) for name in files},
        "written": _now(),
    }
    write_json(folder / "run.json", {**record, **of_the_end})


def _head_entry(head: Head, fitted: FittedHead) -> dict[str, Any]:
    """Return how run.json names a head; the digest tells where two machines part."""
    weights = fitted.weights
    arrays = [weights.kernel, weights.bias, weights.output_kernel, np.array([weights.output_bias])]
    return {
        "name": head.name,
        "seed": head.seed,
        "n_train": len(head.train_rows),
        "weights_sha256": tensor_digest(arrays),
    }


def saved_model(path: Path, head: str, input_shape: Sequence[int]) -> dict[str, Any]:
    """Return how run.json names a saved model: its file, the head in it, and the shape of one subject's input.

    A file of arrays, .npz, holds a head and the layers that training changed; it is not a model by itself.
    """
    return {"file": path.name, "head": head, "input_shape": list(input_shape), "sha256": file_digest(path)}


def origin_of_parameters(
    stage: str, parameters_from: ParametersFrom | None, splits: pd.DataFrame, splits_sha256: str
) -> dict[str, Any] | None:
    """Return the study and trial that the parameters come from, and a note on what that does to the stage's figures.

    `same_split` says whether the study saw these splits, whose file has the digest `splits_sha256`. None is returned
    where the parameters come from no study.
    """
    if parameters_from is None:
        return None
    same_split = splits_sha256.startswith(parameters_from.split)
    note = _note(stage, parameters_from, splits) if same_split else _note_on_another_split(parameters_from)
    return {"study": parameters_from.study, "trial": parameters_from.trial, "same_split": same_split, "note": note}


def _note(stage: str, parameters_from: ParametersFrom, splits: pd.DataFrame) -> str:
    n = splits["subject_id"].nunique()
    n_train = splits.loc[splits["role"] == "train", "subject_id"].nunique()
    study, trial = parameters_from.study, parameters_from.trial
    took_part = (
        f"{100 * n_train / n:.0f} % of these subjects ({n_train} of {n}) took part in the tuning that chose the "
        f"parameters (study {study}, trial {trial}), so "
    )
    notes = {
        "cv": (
            f"{took_part}Table 1 and all other figures out of fold are optimistic; Table 2 and the nested score of the "
            "study are the honest figures."
        ),
        "grouped": f"{took_part}the figures of the grouped folds are optimistic, as those of the random folds are.",
        "final": (
            f"The parameters were tuned on the training role (study {study}, trial {trial}); the {n - n_train} test "
            "subjects took no part in it, so Table 2 is an honest figure, but those of the development folds are "
            "optimistic."
        ),
    }
    return notes[stage]


def _note_on_another_split(parameters_from: ParametersFrom) -> str:
    """Return the note of either stage: who is in the test set today may have been in the development folds then."""
    return (
        f"The parameters were tuned on another split or cohort (study {parameters_from.study}, trial "
        f"{parameters_from.trial}). It is not known which of these subjects took part in the tuning, so all figures, "
        "those of Table 2 too, may be optimistic."
    )


def data_tags(data: TrainingData, splits_sha256: str) -> dict[str, str]:
    """Return the tags that name the cohort, splits and features that a run saw."""
    record = data.bank_record
    return {
        "datspect.data_sha256": str(data.cohort["digest"]),
        "datspect.splits_sha256": splits_sha256,
        "datspect.cohort_kind": str(data.cohort["kind"]),
        "datspect.weights_source": str(record["backbone_source"]),
        "datspect.weights_sha256": str(record["backbone_tensor_digest"]),
        "datspect.precision": str(record["precision"]),
    }


def _training_tags(params: FittingParams) -> dict[str, str]:
    """Return what was trained and on which backend; for a fine-tuning also its own precision."""
    tags = {"datspect.model": params.model, "datspect.backend": keras.backend.backend()}
    if params.model == "striatum":
        return tags | {"datspect.trainable": "all"}
    tags["datspect.trainable"] = params.backbone.trainable
    return tags if params.backbone.frozen else tags | {"datspect.precision": params.finetuning.precision}


def _origin_tags(stage: str, parameters_from: Mapping[str, Any] | None) -> dict[str, str]:
    """Return where the parameters come from; where the stage's main figures suffer from it, the description too."""
    if parameters_from is None:
        return {"datspect.parameters_from": "params.yaml"}
    tags = {"datspect.parameters_from": f"study {parameters_from['study']}, trial {parameters_from['trial']}"}
    suffers = stage != "final" or not parameters_from["same_split"]
    return tags | ({NOTE_TAG: parameters_from["note"]} if suffers else {})


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")
