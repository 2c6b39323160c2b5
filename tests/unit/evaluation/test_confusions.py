"""Who is taken for whom."""

from baton.evaluation.confusions import Confusion, among, confusions, matrix, named
from baton.evaluation.judged import Judged

ROWS = [
    Judged("a", "a", 0.9, is_answered=True, text="1"),
    Judged("a", "b", 0.9, is_answered=False, text="2"),
    Judged("a", "b", 0.9, is_answered=True, text="3"),
    Judged("b", "c", 0.9, is_answered=True, text="4"),
    Judged(None, "a", 0.9, is_answered=True, text="5"),
    Judged(None, "a", 0.1, is_answered=False, text="6"),
]


def test_pairs_are_ranked_and_rejected_foreign_rows_are_no_confusion() -> None:
    assert confusions(ROWS) == [
        Confusion("a", "b", 2, "2"),
        Confusion("b", "c", 1, "4"),
        Confusion("oos", "a", 1, "5"),
    ]


def test_rows_among_some_agents_are_those_with_both_ends_there() -> None:
    assert [one.text for one in among(ROWS, {"a", "b"})] == ["1", "2", "3"]
    assert [one.text for one in among(ROWS, {"a", "oos"})] == ["1", "5", "6"]
    assert named(ROWS) == {"a", "b", "c"}


def test_the_matrix_holds_every_row_once() -> None:
    found = matrix(ROWS)
    assert found.truths == ("a", "b", "oos")
    assert found.agents == ("a", "b", "c")
    assert found.counts == ((1, 2, 0), (0, 0, 1), (2, 0, 0))
    assert found.unsure == (1, 0, 1)
