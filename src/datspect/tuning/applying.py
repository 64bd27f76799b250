"""Write a trial's values into the text of params.yaml; comments, order and every other value stay."""

from collections.abc import Mapping

from datspect.params.editing import Place, edited
from datspect.params.network import ParametersFrom
from datspect.params.striatum import AlterRanges

PLACES: Mapping[str, Place] = {
    "width": ("classifier", "width"),
    "dropout": ("classifier", "dropout"),
    **{name: ("training", "learning_rate", name) for name in ("initial", "final", "schedule", "drops")},
    **{name: ("training", name) for name in ("epochs", "weight_decay")},
    **{name: ("striatum", name) for name in ("label_smoothing", "maps")},
    **{name: ("striatum", "alter", name) for name in AlterRanges.model_fields},
}
"""Where params.yaml holds what a study varies, by the names of `Configuration.settings`."""

_ORIGIN: Place = ("parameters_from",)


def applied(text: str, values: Mapping[str, object], origin: ParametersFrom) -> str:
    """Return `text` of params.yaml with `values` in it, and with `origin`, their trial, as `parameters_from`.

    `values` go by the names of `PLACES`; `edited` says what else it does to the text.

    Raises
    ------
    ParamsError : a place is missing, or other places share its section by an anchor.
    """
    return edited(text, {PLACES[name]: value for name, value in values.items()} | {_ORIGIN: origin.model_dump()})
