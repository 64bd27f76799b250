from datspect.release.looks import count_look
from datspect.release.registering import LOOKS_TAG
from datspect.release.registry import Registry


def test_each_test_set_has_a_count_of_its_own(registry: Registry) -> None:
    assert [count_look(registry, name) for name in ("one", "one", "other")] == [1, 2, 1]
    assert registry.model_tags() == {f"{LOOKS_TAG}one": "2", f"{LOOKS_TAG}other": "1"}
