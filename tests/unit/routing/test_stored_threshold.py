"""A threshold from labelled traffic: what it does to a decision, and to which it does nothing."""

from dataclasses import replace

import pytest

from baton.routing.decision import RouteDecision
from baton.routing.stored_threshold import StoredThreshold, applied, decoded

MODEL = "lexical/2/5f5f5f5f5f5f"
SURE = RouteDecision(
    "cards", "freeze", 0.6, "loans", 0.3, "lexical", threshold=0.5, best="cards", best_skill="freeze", model=MODEL
)
UNSURE = replace(SURE, agent=None, skill=None, confidence=0.4)


def stored(value: float, model: str = MODEL) -> StoredThreshold:
    return StoredThreshold("5f" * 32, model, value)


def test_a_lower_one_lets_the_likeliest_agent_have_it_with_its_skill() -> None:
    assert applied(UNSURE, stored(0.4)) == replace(SURE, confidence=0.4, threshold=0.4)


def test_a_higher_one_lets_nobody_have_it() -> None:
    assert applied(SURE, stored(0.61)) == replace(UNSURE, confidence=0.6, threshold=0.61)


def test_twice_is_as_once() -> None:
    for decision in (SURE, UNSURE):
        once = applied(decision, stored(0.45))
        assert applied(once, stored(0.45)) == once


@pytest.mark.parametrize(
    ("decision", "kept"),
    [
        (SURE, None),
        (SURE, stored(0.9, "lexical/2/other")),
        (replace(SURE, model=None, method="rule"), stored(0.9)),
        (replace(UNSURE, best=None), stored(0.1)),
    ],
)
def test_of_another_model_or_where_nobody_can_have_it_nothing_changes(
    decision: RouteDecision, kept: StoredThreshold | None
) -> None:
    assert applied(decision, kept) is decision


def test_a_journal_keeps_it_as_text() -> None:
    assert decoded(stored(0.123457).encoded()) == stored(0.123457)
    assert decoded(None) is None
