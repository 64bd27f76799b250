"""The section about pictures, which no number depends on."""

from typing import Literal

from pydantic import Field

from datspect.params.base import Section

Convention = Literal["radiological", "neurological"]
"""radiological: heads seen from below, the patient's right on the left of the picture; neurological: from above."""


class FiguresParams(Section):
    """How heads are drawn."""

    convention: Convention = Field(description="radiological: the patient's right on the left of the picture")
