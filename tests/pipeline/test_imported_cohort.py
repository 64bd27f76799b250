"""A made-up PPMI download through the whole graph: it trains as a phantom does, and names nobody anywhere."""

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from tests.importing.made_up_images import FIRST_IMAGE, FIRST_SUBJECT, forbidden, image_bytes
from tests.importing.ppmi_download import full_download
from tests.pipeline.conftest import SMALL_NETWORK, new_graph

from datspect.importing.pseudonyms import KEY_VARIABLE, read_or_create_key

N_PLAIN = 6


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every file below a folder; of zips, which Keras saves models as, also the members."""
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            yield path.relative_to(folder).as_posix(), content
            if zipfile.is_zipfile(io.BytesIO(content)):
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    yield from ((f"{path.name}:{name}", archive.read(name)) for name in archive.namelist())


def texts_in(content: bytes, texts: Iterable[str]) -> Iterator[str]:
    """Those that stand in `content`; looked for where it is printable, since most of it are weights and images.

    Digits alone count where no other digit is beside them: among thousands of decimals any six are found.
    """
    printable = b"\n".join(re.findall(rb"[\x20-\x7e]{6,}", content))
    for text in texts:
        place = printable if text.isascii() and len(text) >= 6 else content
        looked_for = rf"(?<!\d){text}(?!\d)" if text.isdigit() else re.escape(text)
        if re.search(looked_for.encode(), place):
            yield text


@pytest.mark.slow
def test_a_download_goes_through_the_whole_graph_and_names_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = tmp_path / "key" / "pseudonym.key"
    monkeypatch.setenv(KEY_VARIABLE, str(key))
    download = full_download(N_PLAIN, FIRST_SUBJECT, FIRST_IMAGE)
    download.write(tmp_path / "secret-place", image_bytes)
    graph = new_graph(
        tmp_path / "project",
        cohort={"path": "data/ppmi"},
        preprocess={"on_bad_scan": "exclude", "z_offset_voxels": 3.0, "input_size": [48, 40]},
        backbone=SMALL_NETWORK,
    )
    tables = [part for path in download.tables for part in ("--csv", str(path))]
    groups = ["--groups", "PD,Control,SWEDD"]
    said = graph.run("datspect", "import", "ppmi", *map(str, download.roots), *tables, "--to", "data/ppmi", *groups)
    said += graph.repro()
    said += graph.run("datspect", "register")
    assert "real scans" in said

    names = read_or_create_key(key)
    imported = {who.subject for who in download.chosen(("pd", "control", "swedd")).values() if who.imported}
    excluded = pd.read_csv(graph.folder / "data/images/excluded.csv").set_index("scan_id")["reason"]
    trained = pd.read_csv(graph.folder / "data/images/subjects.csv")["subject_id"]
    assert len(trained) + len(excluded) == len(imported)
    swedd = names.scan(download.subjects["group SWEDD"].imported)
    assert excluded[swedd].startswith("label swedd")
    answered = pd.read_csv(graph.folder / "reports/other_groups/predictions.csv").set_index("scan_id")["label"]
    assert answered.to_dict() == {swedd: "swedd"}
    twins = [download.subjects[trap].imported for trap in ("under another subject too", "same voxels under two ids")]
    for image_id in twins:
        assert "two ids" in excluded[names.scan(image_id)]
    assert len(excluded) == 1 + len(twins)
    report = (graph.folder / "reports/report.md").read_text("utf-8")
    assert "cohort of real scans" in report
    assert "PHANTOM" not in report

    (card,) = (graph.folder / "mlruns").rglob("card.html")
    assert "PHANTOM" not in card.read_text("utf-8")
    assert not [subject for subject in trained if subject in card.read_text("utf-8")]

    # DVC's cache holds again what lies in the work tree.
    outputs = [*{content: (name, content) for name, content in contents(graph.folder)}.values()]
    outputs.append(("terminal", said.encode()))
    assert any(name == "mlflow.db" for name, _ in outputs)
    outputs.append(("names of files", "\n".join(name for name, _ in outputs).encode()))
    found = {(name, text) for name, content in outputs for text in texts_in(content, forbidden(download))}
    assert found == set()
