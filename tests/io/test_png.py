from datspect.figures.contact_sheet import contact_sheet
from datspect.io.png import write_figure


def test_bytes_repeat_and_name_neither_software_nor_time(tmp_path, rng):
    images = rng.random((3, 20, 10))
    for name in ("a.png", "b.png"):
        write_figure(tmp_path / "figures" / name, contact_sheet(images, ["1", "2", "3"], "three", "radiological"))
    a, b = ((tmp_path / "figures" / name).read_bytes() for name in ("a.png", "b.png"))
    assert a == b
    assert a.startswith(b"\x89PNG")
    for word in (b"Software", b"atplotlib", b"tIME", b"Creation"):
        assert word not in a
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == ["a.png", "b.png"]
