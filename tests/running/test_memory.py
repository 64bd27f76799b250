"""What programs may take of memory: a container's limit goes before the machine's."""

from pathlib import Path

import pytest

from datspect.running.memory import free_memory, memory_limit


def test_a_container_has_the_memory_that_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("500000000\n")
    (tmp_path / "memory.current").write_text("200000000\n")
    assert (memory_limit(tmp_path), free_memory(tmp_path)) == (5e8, 3e8)


def test_the_first_edition_of_control_groups_is_read_too(tmp_path: Path) -> None:
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.limit_in_bytes").write_text("400000000\n")
    (tmp_path / "memory/memory.usage_in_bytes").write_text("500000000\n")
    assert (memory_limit(tmp_path), free_memory(tmp_path)) == (4e8, 0.0)


@pytest.mark.parametrize("text", ["max", None])
def test_without_a_limit_it_is_the_machines(text: str | None, tmp_path: Path) -> None:
    if text:
        (tmp_path / "memory.max").write_text(text)
    assert memory_limit(tmp_path) >= free_memory(tmp_path) > 1e8
