"""Try ranges of the striatum's augmentation on the training role: five folds of development folds, altered copies."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from scipy.special import expit

from datspect.arrays import FloatArray
from datspect.evaluation.metrics import log_losses
from datspect.evaluation.robustness import UNALTERED
from datspect.imaging.alterations import Row
from datspect.io.arrays import read_array
from datspect.modeling.ensemble import fit_ensemble
from datspect.params.base import read_params
from datspect.params.fitting import FittingParams
from datspect.params.striatum import AlterParams
from datspect.reporting.markdown import markdown_table
from datspect.training import crossval
from datspect.training.data import TrainingData, TrainingInputs, read_training_data
from datspect.training.fitting import slabs_of
from datspect.training.splitting import NO_FOLD
from robustness_parts.out_of_fold import Project, ensemble_of, prepared_slabs
from striatum_parts.ablations import altered_bank, development

RANGES: Mapping[str, Mapping[str, float]] = {
    "the first ones": {"shift_mm": 4.0, "turn_degrees": 3.0, "scale": 0.04, "blur_mm": 8.0},
    "wider turns, sizes, blur": {"shift_mm": 4.0, "turn_degrees": 5.0, "scale": 0.06, "blur_mm": 10.0},
    "wider still": {"shift_mm": 4.0, "turn_degrees": 6.0, "scale": 0.06, "blur_mm": 12.0},
    "the recipe": {"shift_mm": 5.0, "turn_degrees": 6.0, "scale": 0.08, "blur_mm": 12.0},
}


def ranges_part(project: Project, panel: Sequence[Row], seed: int, n_workers: int, names: Sequence[str]) -> str:
    """Return the table of log losses unaltered and of what each row of the panel adds, for each of `RANGES`."""
    data = read_training_data(
        TrainingInputs.within(
            project.root / "data/images", project.root / "data/features", project.root / "data/splits.csv"
        ),
        memory_mapped=True,
    )
    folds = development(data)
    seen = prepared_slabs(project, data.splits["scan_id"][folds != NO_FOLD], panel, seed, n_workers)
    lines = [["ranges", UNALTERED, *(row.name for row in panel)]]
    for name in names:
        losses = _losses(project, _changed(project, RANGES[name]), data, seen)
        lines.append([name, f"{losses[0]:.4f}", *(f"{each - losses[0]:+.4f}" for each in losses[1:])])
    return markdown_table(lines)


def _changed(project: Project, ranges: Mapping[str, float]) -> FittingParams:
    params = read_params(FittingParams, project.root / "params.yaml")
    alter = AlterParams.model_validate(params.striatum.alter.model_dump() | dict(ranges))
    return params.model_copy(update={"striatum": params.striatum.model_copy(update={"alter": alter})})


def _losses(project: Project, params: FittingParams, data: TrainingData, seen: Mapping[str, FloatArray]) -> FloatArray:
    """Return the mean log loss of the training role, out of fold, in each row: shape (1 + rows,)."""
    boxes = read_array(project.root / "data/images/striatal_box.npy", memory_mapped=True)
    bank, lowered = altered_bank(boxes, params.striatum.alter, data.targets == 0)
    material = slabs_of(replace(data, bank=bank, lowered=lowered), params)
    scan_ids, losses = data.splits["scan_id"].to_numpy(), []
    for head in crossval.dev_heads(development(data), params.classifier, params.training):
        network = ensemble_of(fit_ensemble(head, material))
        for row in head.validation_rows:
            odds = network.log_odds(seen[scan_ids[row]])
            losses.append(log_losses(np.full(len(odds), data.targets[row]), expit(odds)))
    return np.asarray(np.mean(losses, axis=0))
