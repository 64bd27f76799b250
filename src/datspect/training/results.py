"""What a training stage leaves on disk: predictions, curves, and the record of how they came about."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

import keras
import pandas as pd
from pydantic import BaseModel

from datspect.arrays import FloatArray
from datspect.cohort.table import label_names, targets
from datspect.evaluation.curves import mean_curves, pr_points, roc_points
from datspect.evaluation.metrics import predicted_labels
from datspect.figures.curves import pr_figure, roc_figure, training_figure
from datspect.io.digests import file_digest
from datspect.io.png import write_figure
from datspect.io.tables import write_json, write_table
from datspect.modeling.compilation import on_accelerator
from datspect.modeling.heads import Head
from datspect.modeling.precision import choose_training_precision
from datspect.params.fitting import FittingParams
from datspect.params.network import ParametersFrom
from datspect.tracking.provenance import Provenance, git_state, provenance, releases
from datspect.training.data import TrainingData


def predictions_table(splits: pd.DataFrame, place: str, logits: FloatArray, probabilities: FloatArray) -> pd.DataFrame:
    """Columns scan_id, subject_id, label, `place` (fold, dev_fold or role), logit, probability and prediction."""
    table = splits[["scan_id", "subject_id", "label", place]].copy()
    table["logit"], table["probability"] = logits, probabilities
    table["prediction"] = label_names(predicted_labels(probabilities))
    return table


def write_curves(folder: Path, history: pd.DataFrame, caption: str) -> None:
    """history.csv (all heads), curves.csv (their means) and training.png."""
    write_table(folder / "history.csv", history)
    write_table(folder / "curves.csv", mean_curves(history))
    write_figure(folder / "training.png", training_figure(history, caption))


def write_evaluation(folder: Path, predictions: pd.DataFrame, metrics: Mapping[str, float], caption: str) -> None:
    """predictions.csv and, as tables and pictures, ROC, precision-recall and confusion."""
    truth = targets(predictions["label"])
    roc = roc_points(truth, predictions["probability"].to_numpy())
    pr = pr_points(truth, predictions["probability"].to_numpy())
    roc_text = f"ROC AUC {metrics['roc_auc']:.4f} ({metrics['roc_auc_low']:.4f} to {metrics['roc_auc_high']:.4f})"
    write_table(folder / "predictions.csv", predictions)
    write_table(folder / "roc.csv", roc)
    write_table(folder / "pr.csv", pr)
    write_table(folder / "confusion.csv", _confusion_pairs(predictions))
    write_figure(folder / "roc.png", roc_figure(roc, roc_text, caption))
    write_figure(folder / "pr.png", pr_figure(pr, float(truth.mean()), f"PR AUC {metrics['pr_auc']:.4f}", caption))


def _confusion_pairs(predictions: pd.DataFrame) -> pd.DataFrame:
    """Columns actual and predicted, a row a subject; sorted, so that a row says nothing of whose it is."""
    pairs = pd.DataFrame({"actual": predictions["label"], "predicted": predictions["prediction"]})
    return pairs.sort_values(["actual", "predicted"])


def run_record(
    stage: str,
    data: TrainingData,
    params: FittingParams,
    inputs: Sequence[Path],
    splits: Path,
    requirements: Sequence[str],
) -> dict[str, Any]:
    """What is known of a run when it starts: the first part of run.json.

    `requirements`: pinned packages that the models will need.
    """
    sections: dict[str, BaseModel] = {"classifier": params.classifier, "training": params.training}
    if not params.backbone.frozen:
        sections |= {"backbone": params.backbone, "finetuning": params.finetuning, "augment": params.augment}
    if params.parameters_from:
        sections["parameters_from"] = params.parameters_from
    made_of, splits_sha256 = provenance(stage, sections, inputs), file_digest(splits)
    parameters_from = origin_of_parameters(stage, params.parameters_from, data.splits, splits_sha256)
    of_the_data = data_tags(data, splits_sha256) | _training_tags(params)
    return {
        "stage": stage,
        "result_id": made_of.result_id,
        **asdict(made_of),
        "splits_sha256": splits_sha256,
        "cohort": data.cohort,
        "features": data.bank_record,
        "params": {name: section.model_dump(mode="json") for name, section in sections.items()},
        "parameters_from": parameters_from,
        "git": git_state().record(),
        "releases": releases(),
        "requirements": list(requirements),
        "tags": _result_tags(made_of) | of_the_data | _origin_tags(stage, parameters_from),
        "mlflow": {"run_id": None, "experiment": params.tracking.experiment},
        "started": _now(),
    }


def origin_of_parameters(
    stage: str, parameters_from: ParametersFrom | None, splits: pd.DataFrame, splits_sha256: str
) -> dict[str, Any] | None:
    """The study and trial of which the parameters are, and a note on what that does to the figures of `stage`.

    `same_split`: whether the study saw these splits, whose file has the digest `splits_sha256`. None where the
    parameters are of no study.
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
    notes = {
        "cv": (
            f"{100 * n_train / n:.0f} % of these subjects ({n_train} of {n}) took part in the tuning that chose the "
            f"parameters (study {study}, trial {trial}), so Table 1 and all other figures out of fold are optimistic; "
            "Table 2 and the nested score of the study are the honest figures."
        ),
        "final": (
            f"The parameters were tuned on the training role (study {study}, trial {trial}); the {n - n_train} test "
            "subjects took no part in it, so Table 2 is an honest figure, but those of the development folds are "
            "optimistic."
        ),
    }
    return notes[stage]


def _note_on_another_split(parameters_from: ParametersFrom) -> str:
    """Of whichever stage: who is in the test set today may have been in the development folds then."""
    return (
        f"The parameters were tuned on another split or cohort (study {parameters_from.study}, trial "
        f"{parameters_from.trial}). It is not known which of these subjects took part in the tuning, so all figures, "
        "those of Table 2 too, may be optimistic."
    )


def saved_model(path: Path, head: str, input_shape: Sequence[int]) -> dict[str, Any]:
    """How run.json names a saved model: its file, the head in it, and the shape of one subject's input.

    A file of arrays, .npz, holds a head and the layers that training changed; it is no model by itself.
    """
    return {"file": path.name, "head": head, "input_shape": list(input_shape), "sha256": file_digest(path)}


def write_run_record(
    folder: Path,
    record: Mapping[str, Any],
    run_id: str | None,
    heads: Sequence[Head],
    models: Sequence[Mapping[str, Any]],
    files: Sequence[str],
) -> None:
    """run.json: what the result was made from, of what it consists, and the MLflow run that was open then.

    Written after everything else that belongs to the result, and never changed. `record` is what `run_record` gave;
    `models` come from `saved_model`; `files` lie in `folder`.
    """
    of_the_end = {
        "mlflow": {**record["mlflow"], "run_id": run_id},
        "heads": [{"name": head.name, "seed": head.seed, "n_train": len(head.train_rows)} for head in heads],
        "models": list(models),
        "files": {name: file_digest(folder / name) for name in files},
        "written": _now(),
    }
    write_json(folder / "run.json", {**record, **of_the_end})


def data_tags(data: TrainingData, splits_sha256: str) -> dict[str, str]:
    """Tags of a run: cohort, splits and features that it saw."""
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
    """What was trained, and on which backend; of a fine-tuning its own precision in place of that of the features."""
    tags = {"datspect.trainable": params.backbone.trainable, "datspect.backend": keras.backend.backend()}
    if params.backbone.frozen:
        return tags
    precision, _ = choose_training_precision(params.finetuning.precision, has_gpu=on_accelerator())
    return tags | {"datspect.precision": precision}


def _result_tags(made_of: Provenance) -> dict[str, str]:
    """Tags of a run: what else the result was made from."""
    return {
        "datspect.result_id": made_of.result_id,
        "datspect.code_sha256": made_of.code_sha256,
        "datspect.params_sha256": made_of.params_sha256,
    }


def _origin_tags(stage: str, parameters_from: Mapping[str, Any] | None) -> dict[str, str]:
    """Where the parameters come from; where the stage's main figures suffer from it, also as the run's description."""
    if parameters_from is None:
        return {"datspect.parameters_from": "params.yaml"}
    tags = {"datspect.parameters_from": f"study {parameters_from['study']}, trial {parameters_from['trial']}"}
    suffers = stage == "cv" or not parameters_from["same_split"]
    return tags | ({"mlflow.note.content": parameters_from["note"]} if suffers else {})


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="milliseconds")
