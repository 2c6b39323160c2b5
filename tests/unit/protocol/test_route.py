"""To whom a request goes: addressed, sticky, shifted, classified, or to the fallback."""

from typing import Any

import pytest

from baton.card import Card
from baton.outcome import Shift
from baton.protocol import route
from baton.protocol.guards import Graph
from baton.protocol.route import RouteInput
from baton.routing.decision import RouteDecision

CARDS = {
    name: Card(name=name, description=name, entry=name != "disputes") for name in ("payments", "cards", "disputes")
}
DESK = Graph(CARDS)


def ask(to: str | None = None, active: str | None = None) -> RouteInput:
    return RouteInput(to=to, active=active)


def decision(agent: str | None = "cards", **changes: Any) -> RouteDecision:
    fields: dict[str, Any] = {
        "agent": agent,
        "skill": "freeze" if agent == "cards" else None,
        "confidence": 0.81234,
        "runner_up": "payments",
        "margin": 0.6,
        "method": "lexical",
        "threshold": 0.4,
        "best": agent or "cards",
        "scores": {"cards": 0.81234, "payments": 0.18, "disputes": 0.005, "extra": 0.001},
    }
    return RouteDecision(**{**fields, **changes})


UNSURE = decision(None, confidence=0.3, scores={"payments": 0.3, "cards": 0.3, "disputes": 0.2, "extra": 0.1})
SURE_SHIFT = Shift((("cards", 0.8),), confident=True)
HINT = Shift((("cards", 0.5), ("payments", 0.2)), confident=False)


def test_a_request_that_names_nobody_is_not_addressed() -> None:
    assert route.addressed(ask(), DESK) is None


@pytest.mark.parametrize("to", ["cards", "disputes", "human"])
def test_a_request_goes_to_the_agent_or_person_that_it_names(to: str) -> None:
    routed = route.addressed(ask(to=to), DESK)
    assert routed is not None
    assert (routed.agent, routed.how, routed.skill, routed.decision) == (to, "addressed", None, None)


@pytest.mark.parametrize(("fallback", "agent"), [(None, None), ("human", "human"), ("cards", "cards"), ("ghost", None)])
def test_a_request_that_names_a_stranger_goes_to_the_fallback(fallback: str | None, agent: str | None) -> None:
    routed = route.addressed(ask(to="nobody"), Graph(CARDS, fallback))
    assert routed is not None
    assert (routed.agent, routed.how) == (agent, "fallback")
    assert (
        routed.reason == "the request names 'nobody', which is not registered; registered are cards, disputes, payments"
    )


def test_a_request_cannot_be_addressed_to_the_router() -> None:
    routed = route.addressed(ask(to="router"), DESK)
    assert routed is not None
    assert routed.agent is None


def test_a_sure_classification_is_followed() -> None:
    routed = route.choose(ask(), DESK, decision(), None)
    assert (routed.agent, routed.how, routed.skill) == ("cards", "classified", "freeze")
    assert routed.reason == "freeze (81%)"
    assert route.choose(ask(), DESK, decision("payments"), None).reason == "payments (81%)"


def test_a_follow_up_stays_with_the_active_agent_and_keeps_a_skill_that_is_its_own() -> None:
    same = route.choose(ask(active="cards"), DESK, decision("cards"), None)
    assert (same.agent, same.how, same.skill) == ("cards", "sticky", "freeze")
    other = route.choose(ask(active="payments"), DESK, decision("cards"), None)
    assert (other.agent, other.how, other.skill) == ("payments", "sticky", None)
    unsure = route.choose(ask(active="payments"), DESK, UNSURE, None)
    assert (unsure.agent, unsure.how) == ("payments", "sticky")


def test_an_active_agent_may_be_one_that_the_router_never_chooses() -> None:
    assert route.choose(ask(active="disputes"), DESK, decision("cards"), None).agent == "disputes"


def test_a_hint_of_another_topic_is_given_to_the_active_agent() -> None:
    routed = route.choose(ask(active="payments"), DESK, decision("cards"), HINT)
    assert (routed.agent, routed.how, routed.shift) == ("payments", "sticky", HINT.targets)


def test_a_confident_change_of_topic_moves_the_conversation() -> None:
    routed = route.choose(ask(active="payments"), DESK, decision("cards"), SURE_SHIFT)
    assert (routed.agent, routed.how, routed.skill, routed.shift) == ("cards", "shifted", "freeze", SURE_SHIFT.targets)
    assert routed.reason == "no longer about payments"


def test_an_active_agent_that_is_gone_is_replaced_by_a_new_choice() -> None:
    routed = route.choose(ask(active="gone"), DESK, decision("cards"), None)
    assert (routed.agent, routed.how) == ("cards", "classified")


@pytest.mark.parametrize(
    ("fallback", "agent"), [(None, None), ("human", "human"), ("disputes", "disputes"), ("ghost", None)]
)
def test_an_unsure_classification_goes_to_a_fallback_that_exists(fallback: str | None, agent: str | None) -> None:
    routed = route.choose(ask(), Graph(CARDS, fallback), UNSURE, None)
    assert (routed.agent, routed.how, routed.decision) == (agent, "fallback", UNSURE)
    assert routed.reason == "nobody surely: 30%, needed 40%; best: cards 30%, payments 30%, disputes 20%"


def test_a_classification_over_no_cards_says_so() -> None:
    routed = route.choose(ask(), Graph({}), decision(None, best=None, scores={}), None)
    assert (routed.agent, routed.reason) == (None, "no agent takes requests")


def test_a_confident_shift_away_from_an_agent_goes_to_the_fallback_if_nobody_is_sure() -> None:
    assert route.choose(ask(active="payments"), Graph(CARDS, "human"), UNSURE, SURE_SHIFT).agent == "human"


@pytest.mark.parametrize(
    ("active", "active_at", "now", "expected"),
    [
        ("cards", 100.0, 160.0, "cards"),
        ("cards", 100.0, 160.1, None),
        ("cards", 100.0, 99.0, "cards"),
        (None, 100.0, 100.0, None),
        ("", 100.0, 100.0, None),
        ("cards", None, 100.0, None),
    ],
)
def test_an_active_agent_is_sticky_for_its_time(
    active: str | None, active_at: float | None, now: float, expected: str | None
) -> None:
    assert route.active_now(active, active_at, now=now, sticky_s=60.0) == expected


def test_the_router_chooses_among_entry_agents_by_name_without_the_one_that_gave_up() -> None:
    assert [card.name for card in route.routable(CARDS, None)] == ["cards", "payments"]
    assert [card.name for card in route.routable(CARDS, "cards")] == ["payments"]


def test_a_decision_is_stored_whole_so_that_it_can_be_decided_again_offline() -> None:
    stored = route.choose(ask(active="payments"), DESK, decision("cards"), HINT).stored()
    assert stored == {
        "agent": "payments",
        "how": "sticky",
        "reason": "payments has this conversation",
        "skill": None,
        "confidence": 0.8123,
        "method": "lexical",
        "threshold": 0.4,
        "best": "cards",
        "runner_up": "payments",
        "margin": 0.6,
        "scores": {"cards": 0.8123, "payments": 0.18, "disputes": 0.005, "extra": 0.001},
        "shift": [("cards", 0.5), ("payments", 0.2)],
    }


def test_a_route_without_a_classification_is_stored_as_certain() -> None:
    routed = route.addressed(ask(to="cards"), DESK)
    assert routed is not None
    assert routed.stored() == {
        "agent": "cards",
        "how": "addressed",
        "reason": "the request names cards",
        "skill": None,
        "confidence": 1.0,
        "method": "addressed",
    }
