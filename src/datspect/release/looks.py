"""Count the looks at a test set: each one at which models are chosen makes its figures a little more optimistic."""

from datspect.release.registering import LOOKS_TAG
from datspect.release.registry import Registry


def count_look(registry: Registry, test_set: str) -> int:
    """Count one more look at the test set of this name, and return how many there were, this one included."""
    key = f"{LOOKS_TAG}{test_set}"
    count = int(registry.model_tags().get(key, "0")) + 1
    registry.set_model_tag(key, str(count))
    return count
