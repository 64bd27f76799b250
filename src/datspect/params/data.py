"""Sections about the data: which cohort, the phantom, the image of a scan, the splits."""

from typing import Annotated, Literal, Self, cast

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from datspect.params.base import Section, Seed

PHANTOM_COHORT_PATH = "data/phantom/cohort"
NO_GROUP, SIGNATURE = "none", "signature"
"""Values of `split.group` that name no column: no grouped folds, and what a scan shows of its camera."""
NO_GROUPS = ("scan_id", "subject_id", "label", "path", "sha256")
"""Columns of participants.tsv that name no camera."""
SMALLEST_SIDE, LARGEST_SIDE = 32, 1024
"""Pixels of an image either way; some architectures need more."""

SliceIndex = Annotated[int, Field(ge=0, le=90)]
OtherLabel = Literal[
    "swedd",
    "prodromal",
    "gencohort_pd",
    "gencohort_unaffected",
    "genreg_pd",
    "genreg_unaffected",
    "atypical",
    "vascular",
]
PositiveFactor = Annotated[float, Field(gt=0, le=10)]


def _check_input_size(value: object) -> object:
    sides = range(SMALLEST_SIDE, LARGEST_SIDE + 1)
    is_size = isinstance(value, list) and len(value) == 2 and all(type(side) is int for side in value)
    if value == "native" or (is_size and all(side in sides for side in cast("list[int]", value))):
        return value
    expected = f"expected native or [height, width], whole pixels from {sides.start} to {sides.stop - 1}"
    raise PydanticCustomError("input_size", expected)


InputSize = Annotated[Literal["native"] | list[int], BeforeValidator(_check_input_size)]


class CohortParams(Section):
    """Which cohort folder is in use."""

    path: str = Field(min_length=1)


class FamilyShares(Section):
    """Share of the sites with each family of cameras; what they are shares of is their sum."""

    fbp: float = Field(ge=0)
    osem_chang: float = Field(ge=0)
    osem_recovery: float = Field(ge=0)

    @model_validator(mode="after")
    def _some_family_is_there(self) -> Self:
        if not self.fbp + self.osem_chang + self.osem_recovery > 0:
            raise ValueError("family_shares: all are 0; at least one family of cameras needs a share")
        return self


class SimulatedGroups(Section):
    """Number of subjects of each other group that can be simulated."""

    swedd: int = Field(ge=0)
    atypical: int = Field(ge=0)
    vascular: int = Field(ge=0)


class PhantomParams(Section):
    """The simulated cohort."""

    n_pd: int = Field(ge=1)
    n_control: int = Field(ge=1)
    other_groups: SimulatedGroups
    seed: Seed
    n_sites: int = Field(ge=1, le=99)
    z_offset_voxels: float = Field(ge=-10, le=10)
    discordant_control: float = Field(ge=0, le=1)
    discordant_pd: float = Field(ge=0, le=1)
    borderline_pd: float = Field(ge=0, le=1)
    posterior_ratio_sd: float = Field(ge=0, le=0.5)
    pattern_sd: float = Field(ge=0, le=0.5)
    family_shares: FamilyShares
    filter_fwhm_mm: float = Field(ge=2, le=20)
    site_filter_mm: float = Field(ge=0, le=2)
    counts_millions: float = Field(ge=0.1, le=10)
    site_counts: Annotated[list[PositiveFactor], Field(min_length=2, max_length=2)]
    site_gain: float = Field(ge=0, le=0.5)
    site_by_label: float = Field(ge=0, le=1)
    brain_uptake_sd: float = Field(ge=0, le=0.2)
    registration_shift_sd_mm: float = Field(ge=0, le=3)
    registration_rotation_sd_degrees: float = Field(ge=0, le=5)
    misregistered: float = Field(ge=0, le=1)
    misregistered_mm: Annotated[list[float], Field(min_length=2, max_length=2)]
    head_size_sd: float = Field(ge=0, le=0.1)
    nucleus_shift_sd_mm: float = Field(ge=0, le=3)
    nucleus_size_sd: float = Field(ge=0, le=0.2)

    @model_validator(mode="after")
    def _site_counts_rise(self) -> Self:
        lowest, highest = self.site_counts
        if lowest > highest:
            raise ValueError(f"site_counts = {self.site_counts}: the first, the lowest, must not exceed the second")
        return self

    @model_validator(mode="after")
    def _each_label_has_sites(self) -> Self:
        if self.site_by_label and self.n_sites < 2:
            raise ValueError(
                f"site_by_label = {self.site_by_label:g}: each label needs a site; set n_sites to 2 or more"
            )
        return self

    @model_validator(mode="after")
    def _misregistered_mm_rise(self) -> Self:
        least, most = self.misregistered_mm
        if not 0 <= least <= most:
            raise ValueError(
                f"misregistered_mm = {self.misregistered_mm}: expected the least and the most, neither below 0"
            )
        return self


class PreprocessParams(Section):
    """From a volume to the image that the network sees."""

    slices: Annotated[list[SliceIndex], Field(min_length=3, max_length=3)]
    intensity: Literal["image_max", "nonspecific_ratio"]
    input_size: InputSize
    smooth_fwhm_mm: Annotated[float, Field(gt=0, le=40)] | None
    z_offset_voxels: float = Field(ge=-10, le=10)
    on_bad_scan: Literal["stop", "exclude"]


class OtherGroupsParams(Section):
    """Labels, neither PD nor control, whose scans the final model is to answer."""

    answered: list[OtherLabel]


class TestPerClass(Section):
    """Exact size of the test set, by class."""

    control: int = Field(ge=1)
    pd: int = Field(ge=1)


class SplitParams(Section):
    """Cross-validation folds, test set and development folds."""

    n_folds: int = Field(ge=2)
    test_fraction: float = Field(gt=0, lt=1)
    test_per_class: TestPerClass | None
    n_dev_folds: int = Field(ge=2)
    group: str = Field(min_length=1)
    seed: Seed

    @model_validator(mode="after")
    def _group_is_no_id(self) -> Self:
        if self.group in NO_GROUPS:
            raise ValueError(
                f"group = {self.group}: expected {NO_GROUP}, site, {SIGNATURE} or another column of participants.tsv, "
                f"not one of {', '.join(NO_GROUPS)}"
            )
        return self
