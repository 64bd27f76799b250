"""Count the looks at a test set: each one where models are chosen makes its figures a little more optimistic."""

from collections.abc import Iterable

from datspect.release import membership
from datspect.release.registry import Registry

SALT_TAG, LOOKS_TAG = "datspect.subject_salt", "datspect.looks."


def subject_salt(registry: Registry) -> str:
    """Return the salt under which the registered model tells subjects apart; make both if they are not there."""
    registry.ensure()
    salt = registry.model_tags().get(SALT_TAG)
    if salt is None:
        salt = membership.new_salt()
        registry.set_model_tag(SALT_TAG, salt)
    return salt


def name_of_test_set(registry: Registry, subject_ids: Iterable[str]) -> str:
    """Return the name under which looks at a test set of these subjects are counted, whatever model is shown on it."""
    return membership.set_digest(membership.subject_digests(set(subject_ids), subject_salt(registry)))


def count_look(registry: Registry, test_set: str) -> int:
    """Count one more look at the test set of this name, and return how many there were, this one included."""
    key = f"{LOOKS_TAG}{test_set}"
    count = int(registry.model_tags().get(key, "0")) + 1
    registry.set_model_tag(key, str(count))
    return count


def said(count: int) -> str:
    """Return what a reader of the test set's figures should know of the looks so far."""
    return (
        f"This is one more look at the test set: {count} so far, counted with the registered model. Each makes its "
        "figures a little more optimistic."
    )
