"""Which addresses count as another machine."""

import socket

import pytest

from datspect.tracking.locality import beyond_this_machine

HOST = "lab-pc"


@pytest.fixture(autouse=True)
def own_name(monkeypatch):
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)
    monkeypatch.setattr(socket, "getfqdn", lambda: f"{HOST}.example.org")


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite:///mlflow.db",
        "sqlite:////home/me/mlflow.db",
        "sqlite+pysqlite:///mlflow.db",
        "sqlite://",
        "file:///home/me/mlruns/1/artifacts",
        "file:/home/me/mlruns",
        "file://localhost/home/me",
        "/home/me/mlruns",
        "./mlruns",
        "mlflow-artifacts:/1/abc/artifacts",
        "mlflow-artifacts://localhost:5000/1",
        "http://localhost:5000",
        "http://LOCALHOST:5000/prefix",
        "http://127.0.0.1:5000",
        "http://127.9.9.9",
        "https://[::1]:5000",
        "http://me:secret@localhost:5000",
        "http://lab-pc:5000",
        "http://Lab-PC.example.org.:5000",
        "postgresql://me:secret@localhost/mlflow",
        "postgresql+psycopg://127.0.0.1:5432/mlflow",
        "postgresql:///mlflow?host=/var/run/postgresql",
        "mysql+pymysql://me@localhost/mlflow?unix_socket=/run/mysqld.sock",
    ],
)
def test_files_and_servers_of_this_host_are_this_machine(uri):
    assert not beyond_this_machine(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "http://mlflow.example.org",
        "https://192.168.1.7:5000",
        "http://10.0.0.1",
        "http://[2001:db8::1]:5000",
        "http://localhost.example.org",
        "http://127.0.0.1.example.org",
        "http://localhost@example.org",
        "http://localhost:pw@example.org:5000",
        "http://example.org/localhost",
        "http://example.org?localhost",
        "http://example.org#@localhost",
        "http://lab-pc.elsewhere.org",
        "mlflow-artifacts://example.org/1",
        "postgresql://me@db.example.org/mlflow",
        "postgresql://localhost/mlflow?host=db.example.org",
        "postgresql://localhost/mlflow?hostaddr=192.168.1.7",
        "postgresql://localhost/mlflow?service=lab",
        "postgresql://localhost:1,db.example.org:2/mlflow",
        "postgresql:///mlflow",  # the environment of the driver says where
        "mssql+pyodbc://?odbc_connect=Server%3Ddb.example.org",
        "sqlite+libsql://db.example.org/mlflow",
        "file://server/share/mlruns",
        "file:////server/share",
        "//server/share",
        "\\\\server\\share",
        *(f"{scheme}://bucket/mlruns" for scheme in ("s3", "gs", "wasbs", "abfss", "hdfs", "viewfs", "dbfs", "r2")),
        "ftp://localhost/mlruns",
        "dbfs:/mlruns",
        "databricks",
        "databricks://profile",
        "databricks-uc",
        "localhost:5000",
        "http://",
        "http://[::1",
        "",
        "what is this",
    ],
)
def test_other_hosts_object_stores_and_riddles_are_beyond(uri):
    assert beyond_this_machine(uri)
