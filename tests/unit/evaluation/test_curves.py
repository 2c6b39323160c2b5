"""What thresholds would give, against small cases reckoned by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.evaluation import curves
from baton.evaluation.judged import Judged, at_threshold


def rows(*given: tuple[float, bool | None]) -> list[Judged]:
    """Return rows of a confidence, right or wrong; None: out of scope."""
    truths: dict[bool | None, str | None] = {True: "a", False: "b", None: None}
    return [Judged(truths[is_right], "a", confidence, is_answered=True) for confidence, is_right in given]


CONFIDENCES = st.sampled_from([0.0, 0.2, 0.5, 0.7, 1.0])
ROWS = st.lists(st.tuples(CONFIDENCES, st.sampled_from([True, False, None])), min_size=1, max_size=30).map(
    lambda pairs: rows(*pairs)
)


def test_a_curve_has_a_point_for_each_confidence() -> None:
    points = curves.curve(rows((0.9, True), (0.5, True), (0.5, False), (0.1, None)))
    assert [(point.threshold, point.coverage, point.precision) for point in points] == [
        (0.9, 0.25, 1.0),
        (0.5, 0.75, pytest.approx(2 / 3)),
        (0.1, 1.0, 0.5),
    ]


def test_coverage_is_the_largest_share_at_the_precision_even_after_a_dip() -> None:
    judged = rows((0.99, False), *[(0.9 - place / 100, True) for place in range(19)], (0.1, False))
    assert curves.coverage_at(curves.curve(judged), 0.95) == 20 / 21
    assert curves.coverage_at(curves.curve(judged), 0.96) == 0.0


def test_rows_of_one_confidence_are_answered_together() -> None:
    judged = rows((0.9, True), (0.9, False))
    assert curves.coverage_at(curves.curve(judged), 0.95) == 0.0


def test_foreign_rows_are_wrong_answers_and_count_in_the_whole() -> None:
    judged = rows((0.9, None), (0.8, True), (0.7, True))
    assert curves.coverage_at(curves.curve(judged), 0.95) == 0.0
    assert curves.coverage_at(curves.curve(judged), 2 / 3) == 1.0


def test_rows_that_nobody_could_take_count_in_the_whole() -> None:
    judged = [*rows((0.9, True)), Judged("a", None, 0.0, is_answered=False)]
    assert curves.coverage_at(curves.curve(judged), 0.95) == 0.5


def test_auroc_counts_ties_half() -> None:
    assert curves.auroc(rows((0.5, True), (0.5, None))) == 0.5
    assert curves.auroc(rows((0.9, True), (0.4, False), (0.5, None))) == 0.5
    assert curves.auroc(rows((0.9, True))) is None


def test_the_tuned_threshold_takes_the_most_right_with_foreign_as_a_class() -> None:
    judged = rows((0.9, True), (0.8, True), (0.6, None), (0.5, True), (0.4, None), (0.3, None))
    assert curves.tuned_threshold(judged) == 0.5  # the same five rows as at 0.8, and answers more
    assert curves.tuned_threshold(rows((0.9, None), (0.8, None))) == 1.01
    assert curves.tuned_threshold(rows((0.9, False), (0.2, True))) == 0.2


@given(judged=ROWS)
def test_no_other_threshold_is_better_than_the_tuned_one(judged: list[Judged]) -> None:
    def score(threshold: float) -> int:
        return sum(one.is_right if one.is_answered else one.is_oos for one in at_threshold(judged, threshold))

    best = score(curves.tuned_threshold(judged))
    assert all(score(threshold) <= best for threshold in (0.0, 0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 1.0, 1.01))


def test_the_cut_rejects_a_twentieth_of_what_is_in_scope() -> None:
    judged = rows(*[(place / 100, True) for place in range(40)], (0.5, None))
    cut = curves.rejecting_cut(judged)
    assert cut == 0.02
    assert sum(not one.is_answered for one in at_threshold(judged, cut)) == 2
    assert curves.rejecting_cut(rows((0.5, None))) == 0.0


@given(judged=ROWS, share=st.floats(0.0, 1.0))
def test_the_cut_never_rejects_more(judged: list[Judged], share: float) -> None:
    own = [one for one in judged if not one.is_oos]
    kept = at_threshold(own, curves.rejecting_cut(judged, share))
    assert sum(not one.is_answered for one in kept) <= share * len(own)


def test_reliability_sorts_rows_by_confidence() -> None:
    bins = curves.reliability(rows((0.05, False), (0.91, True), (0.97, False), (1.0, True), (0.97, None)))
    assert [(part.start, part.end, part.n) for part in bins] == [(0.0, 0.1, 1), (0.9, 1.0, 4)]
    assert bins[1].confidence == pytest.approx(0.9625)
    assert bins[1].right == 0.5
    assert curves.calibration_error(bins) == pytest.approx((0.05 + 4 * 0.4625) / 5)
    assert curves.calibration_error([]) == 0.0
