from datspect.release.looks import LOOKS_TAG, count_look, name_of_test_set
from datspect.release.registry import Registry


def test_each_test_set_has_a_count_of_its_own(registry: Registry) -> None:
    assert [count_look(registry, name) for name in ("one", "one", "other")] == [1, 2, 1]
    assert registry.model_tags() == {f"{LOOKS_TAG}one": "2", f"{LOOKS_TAG}other": "1"}


def test_a_test_set_is_known_by_its_subjects_whatever_their_order(registry: Registry) -> None:
    name = name_of_test_set(registry, ["P1", "P2"])
    assert name_of_test_set(registry, ["P2", "P1", "P2"]) == name  # a subject may have two scans
    assert name_of_test_set(registry, ["P1", "P3"]) != name
    assert "P1" not in name
