"""The benchmark of silence: what is asked, and goals at their bounds."""

from benchmarks.silence import IN_MNI, NATIVE, ORDINARY, Asked, Told, asked_for, goals

from datspect.phantom.out_of_place import OUT_OF_PLACE


def told(state: str, where: str, n: int) -> list[Told]:
    return [Told(Asked(where, "thorax", index, "auto"), state, ()) for index in range(n)]


def test_two_thirds_lie_on_the_grid_and_are_asked_twice() -> None:
    asked = asked_for(300, 20)
    ways = ((IN_MNI, "mni"), (IN_MNI, "auto"), (NATIVE, "auto"), (ORDINARY, "auto"))
    counts = [sum((each.where, each.space) == way for each in asked) for way in ways]
    assert counts == [200, 200, 100, 20]
    assert {each.kind for each in asked if each.where == IN_MNI} == set(OUT_OF_PLACE)
    assert len(set(asked)) == len(asked)


def test_one_firm_answer_misses_the_goal_and_inconclusive_ones_do_not() -> None:
    good = [*told("withheld", IN_MNI, 5), *told("inconclusive", NATIVE, 5), *told("answer", ORDINARY, 98)]
    silent = told("withheld", ORDINARY, 2)
    assert [goal.met for goal in goals({"paper": [*good, *silent]})] == [True, True]
    assert [goal.met for goal in goals({"paper": [*good, *silent, *told("answer", NATIVE, 1)]})] == [False, True]
    assert [goal.met for goal in goals({"paper": [*good, *told("refused", ORDINARY, 4)]})] == [True, False]
