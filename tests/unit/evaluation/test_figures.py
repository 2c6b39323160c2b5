"""The figures of routing, against small cases reckoned by hand."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.evaluation import figures
from baton.evaluation.judged import Judged, at_threshold
from baton.routing.decision import RouteDecision

A, B = "a", "b"

MIXED = [
    Judged(A, A, 0.9, is_answered=True),
    Judged(A, A, 0.8, is_answered=True),
    Judged(A, B, 0.7, is_answered=True),
    Judged(B, B, 0.3, is_answered=False),
    Judged(None, B, 0.6, is_answered=True),
    Judged(None, A, 0.2, is_answered=False),
    Judged(None, A, 0.1, is_answered=False),
]
"""Four rows in scope, three of them right at best; three out of scope, two of them rejected."""

AGENTS = st.sampled_from(["a", "b", "c"])
ROWS = st.lists(
    st.builds(
        Judged,
        truth=st.none() | AGENTS,
        best=AGENTS,
        confidence=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]),
        is_answered=st.booleans(),
    ),
    min_size=1,
    max_size=40,
)


def test_accuracy_is_of_rows_in_scope_and_does_not_ask_whether_they_were_answered() -> None:
    assert figures.accuracy(MIXED) == 3 / 4
    assert figures.answered_accuracy(MIXED) == 2 / 4


def test_macro_f1_is_the_mean_over_agents() -> None:
    # a: 2 right of 3 wanted and 2 found, 4/5; b: 1 right of 1 wanted and 2 found, 2/3.
    assert figures.macro_f1(MIXED) == pytest.approx((4 / 5 + 2 / 3) / 2)


def test_an_agent_that_is_only_ever_wrong_lowers_macro_f1() -> None:
    rows = [Judged(A, A, 0.5, is_answered=True), Judged(A, B, 0.5, is_answered=True)]
    assert figures.macro_f1(rows) == pytest.approx((2 / 3 + 0) / 2)


def test_out_of_scope_is_judged_at_the_decisions_own_threshold() -> None:
    assert figures.oos_recall(MIXED) == 2 / 3
    assert figures.oos_precision(MIXED) == 2 / 3


def test_all_figures_of_one_case() -> None:
    found = figures.routing_figures(MIXED)
    assert list(found)[:7] == ["n", "accuracy", "macro_f1", "coverage_95", "coverage_98", "oos_recall", "oos_precision"]
    assert (found["n"], found["n_oos"]) == (7, 3)
    assert found["coverage_95"] == found["coverage_98"] == round(2 / 7, 6)
    assert found["coverage"] == round(4 / 7, 6)
    assert found["right_of_answered"] == 0.5
    # Of the twelve pairs, the row of 0.3 loses to the foreign one of 0.6 only.
    assert found["auroc"] == round(11 / 12, 6)
    # A twentieth of four rows is none: the cut lies at the least confident, 0.3.
    assert (found["oos_recall_rej5"], found["accuracy_rej5"]) == (round(2 / 3, 6), 0.75)


def test_without_a_row_out_of_scope_nothing_is_said_of_them() -> None:
    found = figures.routing_figures([one for one in MIXED if not one.is_oos])
    assert found["accuracy"] == 0.75
    assert [found[name] for name in ("oos_recall", "oos_precision", "auroc", "oos_recall_rej5")] == [None] * 4


def test_with_rows_out_of_scope_only_nothing_is_said_of_accuracy() -> None:
    found = figures.routing_figures([one for one in MIXED if one.is_oos])
    assert [found[name] for name in ("accuracy", "macro_f1", "answered_accuracy", "auroc")] == [None] * 4
    assert (found["coverage_95"], found["oos_recall"], found["oos_precision"]) == (0.0, round(2 / 3, 6), 1.0)


def test_a_classifier_that_never_abstains_has_no_precision_out_of_scope() -> None:
    rows = at_threshold(MIXED, 0.0)
    assert (figures.oos_recall(rows), figures.oos_precision(rows)) == (0.0, 0.0)


def test_another_threshold_gives_other_figures() -> None:
    assert figures.tuned_figures(MIXED, 0.75) == {
        "threshold": 0.75,
        "accuracy": 0.5,
        "oos_recall": 1.0,
        "oos_precision": 0.6,
    }


def test_a_decision_that_abstains_still_has_a_best_agent() -> None:
    decision = RouteDecision(None, None, 0.1, B, 0.0, "m", threshold=0.2, best=A)
    judged = Judged.of(decision, A)
    assert judged.is_right
    assert not judged.is_answered
    by_rule = Judged.of(RouteDecision(A, None, 1.0, None, 1.0, "rules"), A)
    assert by_rule.is_right


def test_without_a_card_nothing_is_right() -> None:
    assert not Judged(None, None, 0.0, is_answered=False).is_right
    found = figures.routing_figures([Judged.of(RouteDecision(None, None, 0.0, None, 0.0, "m"), A)])
    assert (found["accuracy"], found["macro_f1"], found["coverage_95"]) == (0.0, 0.0, 0.0)


@given(rows=ROWS)
def test_every_share_is_one_and_more_precision_covers_less(rows: list[Judged]) -> None:
    found = figures.routing_figures(rows)
    shares = [value for name, value in found.items() if isinstance(value, float)]
    assert all(0.0 <= value <= 1.0 for value in shares)
    assert found["coverage_98"] <= found["coverage_95"] <= 1.0


@given(rows=ROWS, seed=st.integers())
def test_the_order_of_rows_changes_nothing(rows: list[Judged], seed: int) -> None:
    shuffled = random.Random(seed).sample(rows, len(rows))
    assert figures.routing_figures(shuffled) == figures.routing_figures(rows)


@given(truths=st.lists(st.none() | AGENTS, min_size=1))
def test_a_perfect_classifier_gets_one_everywhere(truths: list[str | None]) -> None:
    perfect = [Judged(truth, truth or A, 1.0 if truth else 0.0, is_answered=truth is not None) for truth in truths]
    found = figures.routing_figures(perfect)
    names = ("accuracy", "macro_f1", "oos_recall", "oos_precision", "right_of_answered", "answered_accuracy", "auroc")
    assert {found[name] for name in names} <= {1.0, None}
    in_scope = sum(truth is not None for truth in truths) / len(truths)
    assert found["coverage_98"] >= round(in_scope, 6)
