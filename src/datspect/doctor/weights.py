"""Look where the backbone's weights are, or whether a source of them answers; nothing is downloaded."""

import sys
from pathlib import Path

from datspect.doctor.check import Check, Place
from datspect.io.records import read_json
from datspect.params.network import BackboneParams
from datspect.running.programs import said_by
from datspect.weights.reach import out_of_reach
from datspect.weights.sources import ANSWER_SECONDS, PACKAGE, PACKAGE_VERSION, SERVER, keras_file

MADE = "models/backbone/backbone.weights.h5"
"""What stage `backbone` wrote; while it is there, no source is needed."""

_NAME = "weights"
_REMEDY = (
    "get a weights file on a machine that can, and set backbone.weights to its path (the message of stage backbone "
    "says which), or wait for the network"
)


def checks(place: Place) -> list[Check]:
    """Look at the weights that params.yaml asks for; the sources are asked only if the weights are not here."""
    params = place.params
    if params is None:
        return []
    if params.model == "striatum":
        return [Check(_NAME, "ok", "none needed: model striatum learns from its own cohort")]
    return [weights_check(params.backbone, place.root, min(ANSWER_SECONDS, place.seconds))]


def weights_check(params: BackboneParams, root: Path, seconds: float) -> Check:
    """Say where the weights of the backbone are, or come from."""
    if params.weights is None:
        return Check(_NAME, "ok", f"random, from seed {params.seed}, as backbone.weights: null asks")
    if params.weights != "imagenet":
        path = root / params.weights
        if path.is_file():
            return Check(_NAME, "ok", f"file {path.name}")
        finding = f"backbone.weights = {params.weights}: no such file"
        return Check(_NAME, "problem", finding, "mend the path, or write imagenet")
    if (root / MADE).is_file() and _architecture(root) == params.architecture:
        return Check(_NAME, "ok", f"of {params.architecture} in {MADE}, which stage backbone wrote")
    if keras_file(params.architecture).in_cache.is_file():
        return Check(_NAME, "ok", f"of {params.architecture} in Keras' cache")
    answers = {"Keras' host": out_of_reach(SERVER, seconds) is None}
    if params.architecture == "InceptionV3":
        answers["the package index"] = _index_answers(seconds)
    return reachable_check(answers, params.architecture)


def _architecture(root: Path) -> str:
    """Return the name of the network whose weights stage `backbone` wrote, "" if it does not say."""
    record = (root / MADE).with_name("backbone.json")
    return str(read_json(record).get("architecture", "")) if record.is_file() else ""


def reachable_check(answers: dict[str, bool], architecture: str) -> Check:
    """Say which sources answer, given each by its name."""
    there = [name for name, answer in answers.items() if answer]
    silent = [name for name, answer in answers.items() if not answer]
    finding = f"of {architecture} not here yet; " + "; ".join(
        [*(f"{name} answers" for name in there), *(f"{name} does not answer" for name in silent)]
    )
    return Check(_NAME, "ok", finding) if there else Check(_NAME, "problem", finding, _REMEDY)


def _index_answers(seconds: float) -> bool:
    """Tell whether the package index that pip is set up with has the package."""
    options = ["--disable-pip-version-check", "--no-input", "--retries", "0", "--timeout", f"{seconds:g}"]
    command = [sys.executable, "-m", "pip", *options, "index", "versions", "--json", PACKAGE]
    said = said_by(command, seconds=2 * seconds)
    return said.code == 0 and PACKAGE_VERSION in said.out
