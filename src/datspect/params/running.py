"""Sections about where work runs and where it is recorded; nothing in them changes a result."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from datspect.params.base import Section


def _check_workers(value: object) -> object:
    if value == "auto" or (type(value) is int and value >= 1):
        return value
    raise PydanticCustomError("workers", "expected auto or a whole number from 1")


Workers = Annotated[Literal["auto"] | int, BeforeValidator(_check_workers)]


class ExecutorParams(Section):
    """Where folds and trials run; nothing here changes a result."""

    kind: Literal["local", "dask"]
    workers: Workers = Field(
        description="of a local executor: so many at a time; auto: as many as cores, memory and GPUs have room for"
    )
    folds_per_gpu: int = Field(ge=1, description="local workers that share a GPU")
    scheduler: str | None = Field(description="address of Dask's scheduler; the environment goes before it")
    checkpoint_minutes: float = Field(gt=0, description="between two checkpoints within a fold")


class TrackingParams(Section):
    """Where runs are filed in MLflow, and what may leave this machine."""

    experiment: str = Field(min_length=1)
    share_subject_level: bool = Field(description="images and rows of real subjects may go to a remote server")
    log_fold_models: Literal["changed", "all"] = Field(description="what of each fold's network is kept and logged")
