"""Stored decisions: what was chosen, what was meant, what a replay changes."""

from typing import Any

import pytest

from baton.cli import traffic
from baton.cli.traffic import Replayed
from baton.journal.views import DecisionView
from baton.protocol.route import Routed
from baton.routing.decision import RouteDecision


def decision(
    agent: str | None, how: str = "classified", *, skill: str | None = None, label: str | None = None, **changes: Any
) -> DecisionView:
    """Return a stored decision; an addressed one has no scores."""
    classified = RouteDecision(agent, skill, 0.9, None, 0.5, "lexical")
    routed = Routed(agent, how, "why", skill, decision=None if how == "addressed" else classified)
    given = {"run_id": "r1", "tenant": "t", "accepted_at": 1.0, "text": "hello", "routed": routed.stored()}
    return DecisionView.model_validate({**given, "label": label, **changes})


FALLBACK_UNASKED = Routed("human", "fallback", "the request names a stranger").stored()


@pytest.mark.parametrize(
    ("stored", "chosen"),
    [
        (decision("cards"), "cards"),
        (decision("cards", "shifted"), "cards"),
        (decision("human", "fallback"), "nobody"),
        (decision(None, "fallback"), "nobody"),
        (decision("cards", "addressed"), None),
        (decision("cards", "sticky"), None),
        (decision(None, routed=FALLBACK_UNASKED), None),
    ],
)
def test_what_the_classifier_chose(stored: DecisionView, chosen: str | None) -> None:
    assert traffic.chosen(stored) == chosen


@pytest.mark.parametrize(
    ("stored", "row"),
    [
        (decision("cards", skill="lost"), ("cards", "lost", False)),
        (decision("cards"), ("cards", "cards", False)),
        (decision("cards", skill="lost", label="cards"), ("cards", "lost", True)),
        (decision("cards", skill="lost", label="payments"), ("payments", "payments", True)),
        (decision("cards", skill="lost", label="nobody"), ("oos", "oos", True)),
        (decision("cards", skill="lost", label="human"), ("oos", "oos", True)),
        (decision("human", "fallback", label="cards"), ("cards", "cards", True)),
        (decision("human", "fallback", label="human"), ("oos", "oos", True)),
        (decision("cards", "addressed", label="payments"), ("payments", "payments", True)),
    ],
)
def test_a_row_has_the_label_or_what_was_surely_chosen(stored: DecisionView, row: tuple[str, str, bool]) -> None:
    agent, intent, labelled = row
    assert traffic.row(stored) == {
        "text": "hello",
        "agent": agent,
        "intent": intent,
        "run_id": "r1",
        "labelled": labelled,
    }


@pytest.mark.parametrize(
    "stored",
    [
        decision("human", "fallback"),
        decision("cards", "sticky"),
        decision("cards", "shifted"),
        decision("cards", "addressed"),
        decision("cards", routed={"agent": "cards", "how": "classified", "best": "payments", "scores": {}}),
    ],
)
def test_what_nobody_surely_knows_is_no_row(stored: DecisionView) -> None:
    assert traffic.row(stored) is None


def test_a_replay_counts_what_changes_with_the_oldest_example_first() -> None:
    today = {"a card": "payments", "another card": "payments", "a payment": "payments", "what": "cards"}
    replayed = Replayed()
    for run_id, text, was, label in (
        ("r1", "a card", "cards", "payments"),
        ("r2", "another card", "cards", "cards"),
        ("r3", "a payment", "payments", "payments"),
    ):
        replayed.add(decision(was, run_id=run_id, text=text, label=label), today.__getitem__)
    replayed.add(decision("human", "fallback", run_id="r4", text="what", label="human"), today.__getitem__)
    replayed.add(decision("cards", "addressed", text="not asked", label="cards"), today.__getitem__)
    assert replayed.as_json() == {
        "requests": 5,
        "redecided": 4,
        "changed": 3,
        "labelled": {"n": 4, "right_then": 3, "right_now": 2},
        "changes": [
            {"from": "cards", "to": "payments", "n": 2, "example": {"run_id": "r1", "text": "a card"}},
            {"from": "nobody", "to": "cards", "n": 1, "example": {"run_id": "r4", "text": "what"}},
        ],
    }
