"""Give MLflow the model: it runs this file, since models are stored as code and not as a pickle."""

from mlflow.models import set_model

from datspect.release.serving import ScanModel

set_model(ScanModel())
