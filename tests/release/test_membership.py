"""Digests tell whether two versions know the same subject, and not who that is."""

from datspect.release.membership import new_salt, set_digest, subject_digest, subject_digests


def test_the_same_subject_has_the_same_digest_under_one_salt_alone() -> None:
    first, second = new_salt(), new_salt()
    assert first != second
    assert subject_digest("P-ABC", first) == subject_digest("P-ABC", first)
    assert subject_digest("P-ABC", first) != subject_digest("P-ABC", second)
    assert subject_digest("P-ABC", first) != subject_digest("P-ABD", first)
    assert "ABC" not in subject_digest("P-ABC", first)


def test_the_order_of_digests_says_nothing_of_the_order_of_subjects() -> None:
    salt = new_salt()
    names = [f"P-{number}" for number in range(50)]
    assert subject_digests(names, salt) == subject_digests(names[::-1], salt) == sorted(subject_digests(names, salt))


def test_a_set_is_named_whatever_its_order_and_changes_with_any_member() -> None:
    assert set_digest(["a", "b"]) == set_digest(["b", "a"])
    assert len({set_digest(each) for each in (["a"], ["a", "b"], ["b"], [])}) == 4
