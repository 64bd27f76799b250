"""What MLflow runs to get the model: models are stored as this code, not as a pickle."""

from mlflow.models import set_model

from datspect.release.serving import ScanModel

set_model(ScanModel())
