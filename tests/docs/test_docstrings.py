"""Docstrings as this project writes them are told to griffe as it reads them."""

from scripts.website.docstrings import reformed


def test_sections_and_examples_are_written_as_griffe_reads_them() -> None:
    text = """Return x.

>>> f(1)
1

Parameters
----------
data, target : shape (X, Y, Z),
    in mm

Raises
------
ScanError : it is none."""
    assert (
        reformed(text)
        == """Return x.

```pycon
>>> f(1)
1
```

Parameters
----------
data, target
    shape (X, Y, Z), in mm

Raises
------
ScanError
    it is none."""
    )
