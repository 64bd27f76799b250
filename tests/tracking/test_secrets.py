import pytest

from datspect.tracking.secrets import without_secrets


@pytest.mark.parametrize(
    ("uri", "password"),
    [
        ("postgresql://ann:p4ss@host/db", "p4ss"),
        ("postgresql://ann:p4@ss/w0rd@host:5432/db?sslmode=require", "p4@ss/w0rd"),
        ("postgresql+psycopg://ann:p4%2Fw@host/db", "p4/w"),
        ("postgresql://host/db?user=ann&password=p4ss", "p4ss"),
        ("https://ann:p4ss@mlflow.example/prefix", "p4ss"),
    ],
)
def test_no_form_of_an_address_shows_its_password(uri: str, password: str) -> None:
    text = f"MLflow at {uri} failed (cannot open {uri}: login of ann with {password} refused)"
    shown = without_secrets(text, uri)
    assert password not in shown
    assert password.replace("/", "%2F") not in shown
    assert "ann:" not in shown
    assert "host" in shown or "mlflow.example/prefix" in shown


@pytest.mark.parametrize("uri", ["sqlite:////home/ann@lab/a b/mlflow.db", "http://127.0.0.1:5000", "databricks"])
def test_an_address_without_a_password_is_shown_as_it_is(uri: str) -> None:
    assert without_secrets(f"MLflow at {uri} failed", uri) == f"MLflow at {uri} failed"


def test_the_login_of_the_environment_is_not_shown_either(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "p4ss")
    assert without_secrets("refused: ann p4ss", "https://mlflow.example") == "refused: ann ***"
