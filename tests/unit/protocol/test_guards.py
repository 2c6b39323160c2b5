"""What keeps control from bouncing, running away or going where it may not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.card import Card
from baton.envelope import Budget, Guard, TrailEntry
from baton.protocol import guards
from baton.routing.stored_threshold import StoredThreshold
from baton.testing.builders import make_envelope


def graph(fallback: str | None = None, **targets: str) -> guards.Graph:
    cards = {
        name: Card(name=name, description=name, targets=tuple(allowed.split())) for name, allowed in targets.items()
    }
    return guards.Graph(cards, fallback)


DESK = graph(cards="disputes ghost", disputes="", payments="cards")


@pytest.mark.parametrize(
    ("sender", "target", "seen"),
    [
        ("cards", "disputes", None),
        ("payments", "cards", None),
        ("cards", "human", None),
        ("cards", "router", None),
        ("human", "payments", None),
        ("router", "disputes", None),
        ("cards", "cards", "'cards' handed off to itself"),
        ("human", "human", "'human' handed off to itself"),
        ("cards", "payments", "'payments', which is not declared;"),
        ("cards", "nobody", "'nobody', which is not declared, and no such agent is registered"),
        ("cards", "ghost", "'ghost', which is declared but not registered"),
        ("human", "nobody", "not declared, and no such agent is registered"),
        ("stranger", "cards", "'cards', which is not declared"),
        ("disputes", "", "'', which is not declared"),
    ],
)
def test_a_handoff_goes_along_a_declared_edge_to_a_registered_agent(sender: str, target: str, seen: str | None) -> None:
    stopped = guards.refused(DESK, sender, target)
    if seen is None:
        assert stopped is None
    else:
        assert stopped is not None
        assert stopped.code == "handoff_refused"
        assert seen in stopped.message
        assert stopped.details["target"] == target


def test_a_refusal_tells_what_is_allowed() -> None:
    stopped = guards.refused(DESK, "cards", "payments")
    assert stopped is not None
    assert stopped.message.endswith("'cards' may hand off to disputes, ghost, human and router")
    assert stopped.details["allowed"] == ["disputes", "ghost"]
    nobody = guards.refused(DESK, "disputes", "cards")
    assert nobody is not None
    assert "'disputes' may hand off to nobody, human and router" in nobody.message


def test_router_and_person_may_reach_every_agent_and_a_stranger_none() -> None:
    assert DESK.allowed("router") == DESK.allowed("human") == ["cards", "disputes", "payments"]
    assert DESK.allowed("stranger") == []


def test_a_person_and_every_registered_agent_can_be_reached_and_the_router_is_no_fallback() -> None:
    assert [name for name in ("human", "cards", "router", "ghost", None) if DESK.is_reachable(name)] == [
        "human",
        "cards",
    ]


@pytest.mark.parametrize(
    ("hops_left", "target", "is_stopped"),
    [(1, "b", False), (0, "b", True), (0, "router", True), (0, "human", False), (5, "human", False)],
)
def test_a_run_without_hops_left_goes_only_to_a_person(hops_left: int, target: str, is_stopped: bool) -> None:
    envelope = make_envelope(
        agent="a", budget=Budget(max_hops=5, hops_left=hops_left), trail=(entry(0, "router", "a"),)
    )
    stopped = guards.over_hop_limit(envelope, target)
    assert (stopped is not None) is is_stopped
    if stopped:
        assert (stopped.code, stopped.details) == ("hop_limit", {"max_hops": 5})
        assert f"Path: router → a → {target}" in stopped.message
        assert "at most 5" in stopped.message


@pytest.mark.parametrize(
    ("budget", "seen"),
    [
        ({}, None),
        ({"tokens_left": 1, "cost_left": 0.01}, None),
        ({"tokens_left": 0}, "tokens"),
        ({"tokens_left": -5}, "tokens"),
        ({"cost_left": 0.0, "tokens_left": 3}, "cost"),
    ],
)
def test_a_run_without_tokens_or_money_left_is_stopped(budget: dict[str, Any], seen: str | None) -> None:
    stopped = guards.over_budget(make_envelope(budget=Budget(max_hops=5, hops_left=5, **budget)))
    assert (stopped and stopped.details) == (seen and {"budget": seen})
    if stopped:
        assert stopped.code == "budget"
        assert f"its {seen} budget" in stopped.message


def entry(seq: int, agent: str, to: str, progress: int = 0, did: str = "handoff") -> TrailEntry:
    return TrailEntry(seq=seq, agent=agent, did=did, to=to, progress=progress)


LOOPED = (entry(0, "router", "a", did="classified"), entry(1, "a", "b", 3), entry(2, "b", "a", 3))


@pytest.mark.parametrize(
    ("trail", "target", "progress", "is_stopped"),
    [
        ((), "b", 0, False),
        (LOOPED, "b", 3, True),
        (LOOPED, "b", 4, False),
        (LOOPED, "c", 3, False),
        (LOOPED[:1], "b", 0, False),
        ((*LOOPED, entry(3, "a", "b", 5), entry(4, "b", "a", 5)), "b", 5, True),
        ((*LOOPED, entry(3, "a", "b", 5), entry(4, "b", "a", 5)), "b", 3, False),
    ],
)
def test_the_same_edge_again_needs_something_new_since_its_last_use(
    trail: tuple[TrailEntry, ...], target: str, progress: int, is_stopped: bool
) -> None:
    stopped = guards.no_progress(make_envelope(agent="a", seq=len(trail), trail=trail), target, progress)
    assert (stopped is not None) is is_stopped


def test_a_stopped_loop_is_named_from_its_last_turn_on() -> None:
    trail = (*LOOPED, entry(3, "a", "b", 5), entry(4, "b", "c", 5), entry(5, "c", "a", 5))
    stopped = guards.no_progress(make_envelope(agent="a", seq=6, trail=trail), "b", 5)
    assert stopped is not None
    assert (stopped.code, stopped.details) == ("no_progress", {"loop": "a → b → c → a → b"})
    assert "'a' handed off to 'b' again" in stopped.message
    assert stopped.message.endswith("a → b → c → a → b")


@pytest.mark.parametrize(
    ("facts", "is_new", "progress"),
    [
        (None, False, 0),
        ({}, False, 0),
        (None, True, 1),
        ({"a": 1}, False, 1),
        ({"a": 1, "b": 1}, False, 2),
        ({"a": 1, "b": 1}, True, 3),
        ({"a": None}, False, 1),
    ],
)
def test_each_new_fact_value_and_a_new_step_raise_the_mark_by_one(
    facts: dict[str, Any] | None, is_new: bool, progress: int
) -> None:
    assert guards.advance(Guard(), facts, is_new=is_new).progress == progress


def test_a_fact_value_seen_before_is_nothing_new_even_if_it_was_away() -> None:
    first = guards.advance(Guard(), {"a": 1}, is_new=False)
    second = guards.advance(first, {"a": 2}, is_new=False)
    back = guards.advance(second, {"a": 1}, is_new=False)
    assert (first.progress, second.progress, back.progress) == (1, 2, 2)
    assert back.seen == second.seen
    assert guards.advance(first, {"b": 1}, is_new=False).progress == 2


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 2), max_size=3), max_size=8))
def test_the_mark_counts_exactly_the_different_facts_ever_given(changes: list[dict[str, int]]) -> None:
    guard = Guard()
    for change in changes:
        guard = guards.advance(guard, change, is_new=False)
    assert guard.progress == len(guard.seen) == len({item for change in changes for item in change.items()})


def test_a_path_names_every_agent_on_the_way() -> None:
    assert guards.path(LOOPED, "a", "b") == "router → a → b → a → b"
    assert guards.path((), "a", "b") == "a → b"


def test_an_agent_is_live_as_far_as_is_known_and_a_person_always() -> None:
    known = guards.Graph(DESK.cards, live=frozenset({"cards"}))
    assert [name for name in ("cards", "payments", "human") if known.is_live(name)] == ["cards", "human"]
    assert DESK.is_live("payments")


def test_a_graph_has_the_team_of_another_whoever_is_live() -> None:
    assert DESK.has_team_of(guards.Graph(DESK.cards, live=frozenset()))
    assert not DESK.has_team_of(guards.Graph(DESK.cards, "human"))
    assert not DESK.has_team_of(guards.Graph(DESK.cards, threshold=StoredThreshold("c", "m", 0.3)))
    assert not DESK.has_team_of(graph(cards="disputes"))
