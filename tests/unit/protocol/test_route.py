"""To whom a request goes: addressed, sticky, shifted, classified, or to the fallback."""

from typing import Any

import pytest

from baton.card import Card
from baton.envelope import Budget, TrailEntry
from baton.outcome import Shift
from baton.protocol import route
from baton.protocol.guards import Graph
from baton.protocol.route import RouteInput
from baton.routing.decision import RouteDecision
from baton.testing.builders import make_envelope

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
        "model": "lexical/2/abc",
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


def test_a_rule_or_a_language_model_says_why_in_its_own_words() -> None:
    ruled = decision(method="rule", confidence=1.0, threshold=0.0, note='a rule of cards: channel is "app"')
    assert route.choose(ask(), DESK, ruled, None).reason == 'a rule of cards: channel is "app"'
    kept = decision(note="the model did not answer within 10 s")
    assert route.choose(ask(), DESK, kept, None).reason == "freeze (81%)"
    nobody = decision(None, method="llm", confidence=0.6, note="the model says that no agent fits")
    assert route.choose(ask(), DESK, nobody, None).reason == "the model says that no agent fits"


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
    assert (routed.agent, routed.how, routed.skill) == ("cards", "shifted", "freeze")
    assert routed.reason == "no longer about payments"
    assert routed.shift == ()  # the agent that it is about is told of no shift to itself


def test_no_conversation_moves_to_an_agent_without_a_live_replica() -> None:
    routed = route.choose(ask(active="payments"), IDLE, decision("cards"), SURE_SHIFT)
    assert (routed.agent, routed.how, routed.shift) == ("payments", "sticky", SURE_SHIFT.targets)


def test_an_active_agent_that_is_gone_is_replaced_by_a_new_choice() -> None:
    routed = route.choose(ask(active="gone"), DESK, decision("cards"), None)
    assert (routed.agent, routed.how) == ("cards", "classified")


@pytest.mark.parametrize(
    ("fallback", "agent"), [(None, None), ("human", "human"), ("disputes", "disputes"), ("ghost", None)]
)
def test_an_unsure_classification_goes_to_a_fallback_that_exists(fallback: str | None, agent: str | None) -> None:
    routed = route.choose(ask(), Graph(CARDS, fallback), UNSURE, None)
    assert (routed.agent, routed.how, routed.decision) == (agent, "fallback", UNSURE)
    assert routed.reason == "not sure enough: 30%, needed 40%; best: cards 30%, payments 30%, disputes 20%"


def test_a_classification_over_no_cards_says_so() -> None:
    routed = route.choose(ask(), Graph({}), decision(None, best=None, scores={}), None)
    assert (routed.agent, routed.reason) == (None, "no agent takes requests")


def test_a_confident_shift_goes_where_it_points_though_a_request_of_its_own_would_be_unsure() -> None:
    routed = route.choose(ask(active="payments"), Graph(CARDS, "human"), UNSURE, SURE_SHIFT)
    assert (routed.agent, routed.how) == ("cards", "shifted")


IDLE = Graph(CARDS, live=frozenset({"payments", "disputes"}))


@pytest.mark.parametrize(
    ("how", "agent", "graph", "expected"),
    [
        ("classified", "cards", IDLE, True),
        ("shifted", "cards", IDLE, False),
        ("classified", "payments", IDLE, False),
        ("sticky", "cards", IDLE, False),
        ("addressed", "cards", IDLE, False),
        ("fallback", None, IDLE, False),
        ("classified", "cards", DESK, False),
    ],
)
def test_only_a_choice_for_an_agent_without_a_live_replica_is_made_again(
    how: str, agent: str | None, graph: Graph, *, expected: bool
) -> None:
    assert route.is_idle(route.Routed(agent, how, ""), graph) is expected


def test_another_that_fits_is_taken_instead_of_one_without_a_live_replica() -> None:
    first = route.choose(ask(), IDLE, decision(), None)
    routed = route.instead(first, decision("payments", confidence=0.7))
    assert (routed.agent, routed.how, routed.skill) == ("payments", "classified", None)
    assert routed.reason == "payments (70%); cards fits better and has no live replica"
    assert routed.decision == decision("payments", confidence=0.7, best="cards")


def test_where_an_agent_without_a_live_replica_made_it_unsure_one_that_fits_is_taken() -> None:
    first = route.choose(ask(), Graph(CARDS, "human", live=IDLE.live), UNSURE, None)
    assert (first.agent, route.is_idle(first, IDLE)) == ("human", True)
    assert not route.is_idle(first, DESK)
    assert route.instead(first, UNSURE) is first
    routed = route.instead(first, decision("payments", confidence=0.7))
    assert (routed.agent, routed.how) == ("payments", "classified")
    assert routed.reason == "payments (70%), of the agents with a live replica"


@pytest.mark.parametrize("second", [UNSURE, decision("payments", confidence=0.45, threshold=0.2)])
def test_where_nobody_else_fits_it_waits_for_the_one_that_does(second: RouteDecision) -> None:
    routed = route.instead(route.choose(ask(), IDLE, decision(), None), second)
    assert (routed.agent, routed.skill) == ("cards", "freeze")
    assert routed.reason == (
        "freeze (81%); cards has no live replica and nobody else fits: it takes this up once it has one"
    )


def test_a_sticky_agent_without_a_live_replica_keeps_its_conversation_and_says_so() -> None:
    routed = route.choose(ask(active="cards"), IDLE, decision("payments"), None)
    assert (routed.agent, routed.how) == ("cards", "sticky")
    assert routed.reason == "cards has this conversation; it has no live replica now, and takes it up once it has"


EDGED = Graph({**CARDS, "payments": CARDS["payments"].model_copy(update={"targets": ("disputes",)})})


def trail(*agents: str) -> tuple[TrailEntry, ...]:
    return tuple(TrailEntry(seq=seq, agent=agent, did="handoff") for seq, agent in enumerate(agents))


@pytest.mark.parametrize(
    ("target", "confident", "before", "to"),
    [
        ("disputes", True, (), "disputes"),
        ("cards", True, (), "router"),
        ("disputes", False, (), None),
        ("disputes", True, ("router", "disputes"), None),
        ("disputes", True, ("router", "cards"), "disputes"),
    ],
)
def test_an_automatic_handoff_follows_the_edges_and_never_goes_back(
    target: str, before: tuple[str, ...], to: str | None, *, confident: bool
) -> None:
    envelope = make_envelope(agent="payments", kind="reply", trail=trail(*before, "payments"))
    handoff = route.onward(envelope, Shift(((target, 0.9),), confident=confident), EDGED, decision())
    assert (handoff and handoff.to) == to
    assert handoff is None or handoff.reason == f"the user's reply is about {target} (90%)"


@pytest.mark.parametrize(
    ("target", "hops_left", "live", "found", "to"),
    [
        ("disputes", 1, None, UNSURE, "disputes"),
        ("disputes", 0, None, UNSURE, None),
        ("disputes", 9, frozenset({"payments"}), UNSURE, None),
        ("cards", 2, None, decision(), "router"),
        ("cards", 1, None, decision(), None),
        ("cards", 9, None, UNSURE, None),
        ("gone", 9, None, decision("gone"), "router"),
    ],
)
def test_an_automatic_handoff_goes_nowhere_where_the_run_would_stand_still_or_end(
    target: str, hops_left: int, live: frozenset[str] | None, found: RouteDecision, to: str | None
) -> None:
    envelope = make_envelope(agent="payments", kind="reply", budget=Budget(max_hops=16, hops_left=hops_left))
    graph = Graph(EDGED.cards, live=live)
    handoff = route.onward(envelope, Shift(((target, 0.9),), confident=True), graph, found)
    assert (handoff and handoff.to) == to


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


def test_the_router_chooses_among_entry_agents_by_name() -> None:
    assert [card.name for card in route.routable(CARDS)] == ["cards", "payments"]


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
        "model": "lexical/2/abc",
        "note": "",
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
