"""The commands of docs/moving.md, run as they stand between a laptop, a cluster and a server, all on this machine."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tests.release.made_up_graph import write_graph_results
from tests.release.repositories import commit, run
from tests.tracking.made_up_results import PARAMS_PATH
from tests.tracking.projects import clean_environment
from tests.tracking.servers import free_port, tracking_server
from tests.tracking.stores import listing, mentions
from tests.tuning.postgres import postgres_server

from datspect import tracking

pytestmark = pytest.mark.slow

PAGE = (Path(__file__).parents[2] / "docs/moving.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"<!-- (.+?) -->\n```sh\n(.+?)```", PAGE, re.DOTALL))
STAGE = "stages:\n  all:\n    cmd: {command}\n    outs:\n{outs}"
IGNORED = "/mlflow.db*\n/mlruns/\n"


class Place:
    """A machine's folder, in which commands are run."""

    def __init__(self, root: Path, replaced: dict[str, str]) -> None:
        self.root = root
        self.replaced = replaced

    def follow(self, block: str, folder: str = "datspect") -> str:
        """Run a block of the page; gives what it printed."""
        lines = BLOCKS[block]
        for shown, here in self.replaced.items():
            lines = lines.replace(shown, here)
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        identity = {
            f"GIT_{who}_{what}": "x@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        done = subprocess.run(
            ["sh", "-euc", lines], cwd=self.root / folder, env=os.environ | {"PATH": path} | identity,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{lines}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Place, Place]:
    """A laptop whose repository holds a registered result, with an origin for git, and an empty cluster."""
    clean_environment(monkeypatch)
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    laptop, cluster, origin = (tmp_path / name for name in ("laptop", "cluster", "origin.git"))
    replaced = {
        "/mnt/storage/datspect": str(tmp_path / "storage"),
        "git.example.org:datspect.git": str(origin),
        # Both machines are this one, and rsync need not be installed.
        "rsync -a": "cp -r",
        "laptop:": f"{laptop}/",
        "cluster:": f"{cluster}/",
    }
    root = laptop / "datspect"
    write_result_graph(root, tmp_path / "made")
    run(tmp_path, "git", "init", "--quiet", "--bare", str(origin))
    run(root, "git", "remote", "add", "origin", str(origin))
    run(root, "git", "push", "--quiet", "--set-upstream", "origin", "HEAD")
    cluster.mkdir()
    here = Place(laptop, replaced)
    BLOCKS["first results"] = "datspect relog\ndatspect register\n"
    here.follow("first results")
    return here, Place(cluster, replaced)


def write_result_graph(root: Path, made: Path) -> None:
    """A repository of git and DVC whose one stage brings the made-up results of the graph."""
    made.mkdir()
    write_graph_results(made)
    for name in (".git", ".gitignore", "dvc.lock", "splits.csv"):
        shutil.rmtree(made / name) if (made / name).is_dir() else (made / name).unlink(missing_ok=True)
    outs = {f"    - {path.relative_to(made)}\n" for path in made.rglob("*") if path.is_file()}
    folders = ("models/predictor", "models/final")
    outs = {out for out in outs if not any(folder in out for folder in folders)}
    outs |= {f"    - {folder}\n" for folder in folders}
    root.mkdir(parents=True)
    (root / "dvc.yaml").write_text(STAGE.format(command=f"cp -r {made}/. .", outs="".join(sorted(outs))))
    shutil.copy(PARAMS_PATH, root)
    run(root, "git", "init", "--quiet")
    dvc = str(Path(sys.executable).with_name("dvc"))
    run(root, dvc, "init", "--quiet")
    (root / ".gitignore").write_text(IGNORED)
    run(root, dvc, "repro", "--quiet")
    commit(root, "results")


def names(root: Path) -> list[str]:
    client = MlflowClient(f"sqlite:///{root}/mlflow.db")
    experiment = client.get_experiment_by_name("datspect")
    runs = client.search_runs([experiment.experiment_id])
    return sorted(found.info.run_name.split(" · ")[0] for found in runs)  # the rest is the commit


def test_from_the_laptop_to_the_cluster_and_back(
    machines: tuple[Place, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    laptop, cluster = machines
    first, second = laptop.root / "datspect", cluster.root / "datspect"
    laptop.follow("on the laptop, once")
    laptop.follow("on the laptop")
    before = listing(first / "mlruns")
    said = cluster.follow("on the cluster", ".")
    assert f"its MLflow now reads and writes {second}/mlruns, no more {first}/mlruns" in said
    assert "final: MLflow has all of it" in said
    assert "holds      model in the registry: its files have the digest" in said
    assert "holds      models/predictor: " in said
    assert "FAILED" not in said
    monkeypatch.chdir(second)
    with tracking.open_run("on the cluster", stage="cv", experiment="datspect"):
        pass
    assert listing(first / "mlruns") == before
    assert names(first) == ["final"]
    said = laptop.follow("back on the laptop")
    assert f"its MLflow now reads and writes {first}/mlruns, no more {second}/mlruns" in said
    assert "final: MLflow has all of it" in said
    assert names(first) == ["final", "on the cluster"]
    assert mentions(first / "mlflow.db", second) == {}


@pytest.mark.long
def test_to_postgresql_with_files_behind_a_server(machines: tuple[Place, Place], tmp_path: Path) -> None:
    laptop, _ = machines
    before = listing(laptop.root / "datspect/mlruns")
    with (
        postgres_server(tmp_path / "postgres") as database,
        tracking_server(tmp_path, free_port(), store=database) as server,
    ):
        laptop.replaced["https://mlflow.hospital.example"] = server.uri
        said = laptop.follow("to the server")
        assert "final: sent, as run" in said
        assert "version 1 of datspect registered" in said
        assert "holds      model in the registry: its files have the digest" in said
        assert "FAILED" not in said
    assert len(list((tmp_path / "files").rglob("predictor.json"))) == 1
    assert "version 1 of datspect" in laptop.follow("the old store")
    assert listing(laptop.root / "datspect/mlruns") == before
