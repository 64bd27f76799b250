"""What can go wrong, by subject. A message says which scan or key, what was expected, what came, what to do."""


class DatspectError(Exception):
    """Base of every error that is the user's to mend; shown without a traceback."""


class ParamsError(DatspectError):
    """params.yaml holds an unknown, missing or impossible value."""


class CohortError(DatspectError):
    """A cohort folder or one of the tables made from it is not as it must be."""


class ScanError(DatspectError):
    """One scan cannot be used."""


class IneligibleError(ScanError):
    """The file is whole, but no reconstructed DaT scan: raw projections, a scan off the template, another modality."""


class EmptyRegionError(ScanError):
    """A region of interest holds no voxel of the scan, or no signal to divide by."""


class ImportingError(DatspectError):
    """An import cannot be begun or ended: its tables, key or target folder are not as they must be."""


class PrevalenceError(DatspectError):
    """A prevalence is no share of PD between 0 and 1."""


class WeightsError(DatspectError):
    """Backbone weights could not be had, or are not what they claim to be."""


class LeakageError(DatspectError):
    """A subject or an image lies on both sides of a split, or the label can be had in a way that is no diagnosis."""


class TuningError(DatspectError):
    """A study, or the database it is kept in, cannot be used as asked."""


class WorkerError(DatspectError):
    """A process that shared the work was killed."""


class OutputTakenError(DatspectError):
    """Another process writes to the outputs of a stage."""


class PromotionError(DatspectError):
    """A version cannot be registered, promoted, rolled back or traced as asked."""
