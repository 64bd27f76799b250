"""The served model without its server: bytes in, answers out, and a reason for what is no scan."""

import gzip
import io
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Literal

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.pyfunc.scoring_server import predictions_to_json
from tests.normalisation.moved_heads import imaged, pose
from tests.normalisation.moved_heads import nifti_bytes as nifti_of
from tests.prediction.made_up_predictor import write_predictor, write_striatal_predictor

from datspect.evaluation.withholding import Withholding
from datspect.imaging.volume import MNI_SHAPE, Volume, mni_affine
from datspect.io.scan_reading import read_nifti_bytes
from datspect.prediction.files import FILES
from datspect.prediction.predictor import Predictor
from datspect.release import serving
from datspect.release.serving import ScanModel, requirements, signature, write_served_model
from datspect.release.turns import Turns
from datspect.tracking import pip_requirements

WORKER = """
import asyncio, base64, json, sys
from mlflow.pyfunc.scoring_server.app import app  # what a worker of the server starts

scan = base64.b64encode(open(sys.argv[1], "rb").read()).decode()
requests = [{"type": "http.request", "body": json.dumps({"dataframe_records": [{"nifti": scan}]}).encode()}]
sent = []

async def receive():
    return requests.pop() if requests else {"type": "http.disconnect"}

async def send(message):
    sent.append(message.get("body", b""))

scope = {
    "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
    "path": "/invocations", "raw_path": b"/invocations", "query_string": b"", "root_path": "",
    "server": ("127.0.0.1", 80), "client": ("127.0.0.1", 81), "headers": [(b"content-type", b"application/json")],
}
asyncio.run(app(scope, receive, send))
status = open("/proc/self/status").read()
heavy = sorted({"keras", "tensorflow", "jax", "sklearn", "matplotlib"} & set(sys.modules))
print(json.dumps([json.loads(b"".join(sent))["predictions"][0], heavy, int(status.split("VmRSS:")[1].split()[0])]))
"""

MODELS: tuple[Literal["paper", "striatum"], ...] = ("paper", "striatum")


NATIVE = imaged(pose((10, -7, 12), (45, -20, 35)))
NOISE = Volume(np.random.default_rng(1).integers(0, 99, (64, 64, 48)).astype(np.int16), NATIVE.affine)


def nifti_bytes(data: np.ndarray) -> bytes:
    return bytes(nib.Nifti1Image(data, mni_affine()).to_bytes())


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("served") / "predictor"
    write_predictor(folder)
    return folder


@pytest.fixture(scope="module")
def model(predictor: Path) -> ScanModel:
    loaded = ScanModel()
    loaded.load_context(SimpleNamespace(artifacts={"predictor": str(predictor)}))
    return loaded


def ask(model: ScanModel, contents: list[object], **columns: object) -> pd.DataFrame:
    return model.predict(None, pd.DataFrame({"nifti": contents, **columns}))


def test_a_scan_gets_an_answer_packed_or_not_under_its_own_id(model: ScanModel, tiny_cohort: Path) -> None:
    content = (tiny_cohort / "volumes/S00.nii").read_bytes()
    answers = ask(model, [content, gzip.compress(content)], scan_id=["first", "second"])
    assert answers["scan_id"].tolist() == ["first", "second"]
    assert answers["probability"][0] == answers["probability"][1]
    assert set(answers) == {column.name for column in signature().outputs.inputs}


def test_the_prevalence_is_a_parameter_and_stands_in_the_answer(model: ScanModel, tiny_cohort: Path) -> None:
    scans = pd.DataFrame({"nifti": [(tiny_cohort / "volumes/S00.nii").read_bytes()]})
    asked = signature().params.params[0]
    assert (asked.name, asked.default) == ("prevalence", None)
    usual, rare = (model.predict(None, scans, {"prevalence": share}).iloc[0] for share in (None, 0.1))
    assert (usual["prevalence"], rare["prevalence"]) == (0.5, 0.1)
    assert usual["likelihood_ratio"] == rare["likelihood_ratio"]
    assert rare["probability"] < usual["probability"]
    with pytest.raises(MlflowException, match="expected a share of PD between 0 and 1") as refused:
        model.predict(None, scans, {"prevalence": 10.0})
    assert refused.value.get_http_status_code() == 400


def test_without_ids_there_are_none(model: ScanModel, tiny_cohort: Path) -> None:
    assert ask(model, [(tiny_cohort / "volumes/S00.nii").read_bytes()])["scan_id"].tolist() == [""]


def test_an_answer_in_json_says_what_the_ratios_say_and_how_likely_it_is_wrong(
    model: ScanModel, tiny_cohort: Path
) -> None:
    sent = io.StringIO()
    predictions_to_json(ask(model, [(tiny_cohort / "volumes/S00.nii").read_bytes()] * 2), sent)
    # NaN, which Python would read, is no JSON.
    answers = json.loads(sent.getvalue(), parse_constant=lambda name: pytest.fail(name))["predictions"]
    limit = model.predictor.parts.doubt.limit
    for answer in answers:
        assert 0 < answer["ratio_probability"] < 1
        assert answer["inconclusive"] == (answer["error_risk"] > limit or "features" in answer["unlike"].split())
        assert (answer["state"], answer["withheld"], answer["unjudged"]) == ("inconclusive", "", "")


def test_a_withheld_scan_is_served_without_class_and_numbers_in_the_columns_of_all_answers(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    """One of two scans has grain beyond the limit, and no answer; the other has one."""
    content = (tiny_cohort / "volumes/S00.nii").read_bytes()
    voxels = np.asarray(nib.Nifti1Image.from_bytes(content).dataobj)
    noise = np.random.default_rng(1).normal(0, voxels.max() / 4, voxels.shape)
    write_predictor(tmp_path, Withholding({"grain": (None, 0.1)}, at_most=0.01))
    model = ScanModel()
    model.load_context(SimpleNamespace(artifacts={"predictor": str(tmp_path)}))
    sent = io.StringIO()
    answers = ask(model, [content, nifti_bytes((voxels + noise).clip(0).astype(np.int16))])
    predictions_to_json(answers, sent)
    usual, noisy = json.loads(sent.getvalue(), parse_constant=lambda name: pytest.fail(name))["predictions"]
    assert list(usual) == list(noisy)
    columns = {column.name for column in signature().outputs}
    assert set(usual) == columns
    assert noisy["state"] == "withheld"
    assert noisy["withheld"] == "noisier than training scans"
    assert noisy["prediction"] == ""
    assert noisy["inconclusive"] is True
    numbers = ("probability", "likelihood_ratio", "model_probability", "ratio_probability", "error_risk")
    assert [noisy[name] for name in numbers] == [None] * 5
    unjudged = json.loads(noisy["unjudged"])
    assert unjudged["prediction"] in ("pd", "control")
    assert all(unjudged[name] >= 0 for name in numbers)
    assert usual["state"] == "inconclusive"
    assert usual["prediction"] in ("pd", "control")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no scan", "not a NIfTI file"),
        (b"", "not a NIfTI file"),
        ("text", "nifti is no bytes"),
        (None, "nifti is no bytes"),
        (b"\x1f\x8b\x08" + bytes(40), "scan number 2"),
        (nifti_bytes(np.full(MNI_SHAPE, np.nan, np.float32)), "NaN and nothing else"),
        (nifti_bytes(np.full(MNI_SHAPE, 7, np.int16)), "the same value"),
        (nifti_bytes(np.arange(8**3, dtype=np.int16).reshape(8, 8, 8)), "the field of view has 16 x 16 x 16 mm"),
        (nifti_of(NOISE), "does not look like a DaT scan of a head"),
        (nifti_of(Volume(NATIVE.data[:, :, ::-1].copy(), NATIVE.affine)), "the head lies upside down"),
        (nifti_of(Volume(NATIVE.data[:, :, ::-1].copy(), NATIVE.affine), 4), "the head lies upside down"),
    ],
)
def test_what_is_no_scan_is_refused_with_its_number_and_reason(
    model: ScanModel, tiny_cohort: Path, content: object, reason: str
) -> None:
    good = (tiny_cohort / "volumes/S00.nii").read_bytes()
    with pytest.raises(MlflowException, match=reason) as refused:
        ask(model, [good, content])
    assert refused.value.get_http_status_code() == 400
    assert "scan number 2" in str(refused.value)


def test_a_native_scan_is_answered_and_said_to_be_registered(model: ScanModel, tiny_cohort: Path) -> None:
    answers = ask(model, [nifti_of(NATIVE), (tiny_cohort / "volumes/S00.nii").read_bytes(), nifti_of(NATIVE, 4)])
    assert answers["placed"].tolist() == ["registered", "as it is", "registered"]
    assert answers["probability"][0] == answers["probability"][2]


def test_scans_to_register_take_turns_and_others_wait_for_none(
    model: ScanModel, tiny_cohort: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "turns", Turns(1))
    with model.turns, ThreadPoolExecutor(1) as pool:
        assert len(ask(model, [(tiny_cohort / "volumes/S00.nii").read_bytes()])) == 1
        waiting = pool.submit(ask, model, [nifti_of(NATIVE)])
        with pytest.raises(TimeoutError):
            waiting.result(timeout=1)
        model.turns.__exit__()
        assert waiting.result(timeout=60)["placed"].tolist() == ["registered"]
        model.turns.__enter__()


def test_sizes_are_bounded_before_anything_is_read(model: ScanModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_FILE_BYTES", 100)
    monkeypatch.setattr(serving, "read_nifti_bytes", lambda content: pytest.fail("it was read"))
    with pytest.raises(MlflowException, match="101 bytes; send at most 100"):
        ask(model, [bytes(101)])
    with pytest.raises(MlflowException, match="65 scans in one request"):
        ask(model, [b"x"] * 65)


@pytest.mark.slow
def test_it_loads_where_the_source_tree_is_not_and_holds_no_pickle(predictor: Path, tmp_path: Path) -> None:
    write_served_model(tmp_path / "model", predictor, mlflow_model=Model())
    (tmp_path / "native.nii").write_bytes(nifti_of(NATIVE))
    assert not [path for path in (tmp_path / "model").rglob("*") if path.suffix in (".pkl", ".pickle", ".cloudpickle")]
    code = (
        "import sys, json, mlflow, pandas as pd\n"
        f"model = mlflow.pyfunc.load_model({str(tmp_path / 'model')!r})\n"
        "import datspect\n"
        "scan = open('native.nii', 'rb').read()\n"
        "answer = model.predict(pd.DataFrame({'nifti': [scan]}))\n"
        "print(json.dumps([datspect.__file__, float(answer['probability'][0]), answer['placed'][0]]))\n"
    )
    # The source tree is on no path: only the package that the model carries can be found.
    hidden = "import sys; sys.path[:] = [p for p in sys.path if '/src' not in p and '__editable__' not in p]\n"
    hidden += "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in repr(f).lower()]\n"
    answer = subprocess.run(
        [sys.executable, "-c", hidden + code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    file, probability, how = json.loads(answer.stdout.strip().splitlines()[-1])
    assert Path(file).is_relative_to(tmp_path / "model")
    assert 0 <= probability <= 1
    assert how == "registered"


def test_requirements_are_pinned_and_the_striatums_are_without_keras() -> None:
    of_paper, of_striatum = ({line.partition("==")[0]: line for line in requirements(model)} for model in MODELS)
    assert all("==" in line for line in (of_paper | of_striatum).values())
    assert {"keras", "numpy"} <= set(of_paper)
    assert set(of_paper) - set(of_striatum) == {line.partition("==")[0] for line in pip_requirements()} - {"numpy"}


def test_a_model_of_files_that_are_links_holds_the_files(tmp_path: Path) -> None:
    (tmp_path / "cache" / "predictor").mkdir(parents=True)
    write_striatal_predictor(tmp_path / "cache" / "predictor")
    (tmp_path / "cache" / "0f3c").write_text("{}", "utf-8")
    linked = tmp_path / "models" / "predictor"
    linked.mkdir(parents=True)
    for file in (tmp_path / "cache" / "predictor").iterdir():
        (linked / file.name).symlink_to(file)
    metrics = tmp_path / "metrics.json"
    metrics.symlink_to(tmp_path / "cache" / "0f3c")
    whole = tmp_path / "whole"
    whole.symlink_to(linked)
    for number, predictor in enumerate((linked, whole)):
        model = tmp_path / f"model{number}"
        write_served_model(model, predictor, mlflow_model=Model(), extras=[("metrics", metrics)])
        files = [path for path in (model / "artifacts").rglob("*") if not path.is_dir()]
        assert {path.name for path in files} == {*FILES, "metrics.json"}
        for path in files:
            assert not path.is_symlink()
            source = metrics if path.name == "metrics.json" else linked / path.name
            assert path.read_bytes() == source.read_bytes()


@pytest.mark.slow
def test_a_version_of_the_striatum_is_served_without_keras_in_less_than_400_mb(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    write_striatal_predictor(tmp_path / "predictor")
    scan = tiny_cohort / "volumes/S00.nii"
    expected = Predictor.read(tmp_path / "predictor")
    (direct,) = expected.answers([expected.prepare(read_nifti_bytes(scan.read_bytes()))])
    write_served_model(tmp_path / "model", tmp_path / "predictor", mlflow_model=Model())
    (tmp_path / "worker.py").write_text(WORKER, encoding="utf-8")
    environment = os.environ | {"__pyfunc_model_path__": str(tmp_path / "model")}
    ended = subprocess.run(
        [sys.executable, "worker.py", str(scan)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    served, heavy, kb = json.loads(ended.stdout.strip().splitlines()[-1])
    assert served["model_probability"] == pytest.approx(direct.model_probability, abs=1e-6)
    assert served["probability"] == pytest.approx(direct.probability, abs=1e-6)
    assert heavy == []
    assert kb < 400 * 1024  # without SimpleITK, which comes with the first native scan
