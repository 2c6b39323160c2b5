"""What is stopped or broke: another attempt, the fallback, a wait, or an end that says why."""

from typing import Any

import pytest

from baton import Handoff, errors
from baton.envelope import Budget, TrailEntry, decode
from baton.journal.records import NewWait
from baton.protocol import guards
from baton.protocol.settle import Settled, hand_back, settle, settle_error, suspend, to_fallback
from baton.request import Failure
from tests.support.hops import make_context, make_graph

STOPPED = guards.Stopped("no_progress", "a loop", {"loop": "a → b → a"})
LOOP = (
    TrailEntry(seq=0, agent="a", did="handoff", to="b"),
    TrailEntry(seq=1, agent="b", did="handoff", to="a"),
)


def failure(settled: Settled) -> Failure:
    end = settled.finish.end
    assert end is not None
    assert end.status == "failed"
    assert end.error is not None
    assert settled.finish.error == end.error
    assert (settled.finish.hop_status, settled.finish.next, settled.body) == ("failed", None, None)
    return end.error


def target(settled: Settled) -> str | None:
    return settled.finish.next and settled.finish.next.agent


FALLBACK = make_graph(fallback="c", a="b", b="a", c="")


@pytest.mark.parametrize(
    ("to", "changes", "code"),
    [
        ("c", {}, "handoff_refused"),
        ("a", {}, "handoff_refused"),
        ("nobody", {}, "handoff_refused"),
        (7, {}, "handoff_refused"),
        ("b", {"budget": Budget(max_hops=9, hops_left=5, tokens_left=0)}, "budget"),
        ("b", {"budget": Budget(max_hops=9, hops_left=5, cost_left=-0.1)}, "budget"),
        ("b", {"trail": LOOP}, "no_progress"),
    ],
)
def test_a_handoff_that_a_guard_stops_goes_to_the_fallback_or_fails_and_says_why(
    to: Any, changes: dict[str, Any], code: str
) -> None:
    moved = settle(make_context(graph=FALLBACK, **changes), Handoff(to))
    assert target(moved) == "c"
    assert (moved.finish.outcome or {})["did"] == "fallback"
    assert [event.type for event in moved.finish.events] == ["stopped", "handoff"]
    assert moved.finish.events[0].data["code"] == code
    alone = make_graph(a="b", b="a", c="")
    error = failure(settle(make_context(graph=alone, **changes), Handoff(to)))
    assert (error.code, error.agent) == (code, "a")
    assert error.message == moved.finish.events[0].data["message"]


def test_a_stopped_handoff_adds_no_facts_and_tells_the_fallback_the_reason() -> None:
    context = make_context(graph=FALLBACK, facts={"a": 1})
    moved = settle(context, Handoff("nobody", reason="mine", facts={"a": 2}))
    assert moved.finish.next is not None
    envelope = decode(moved.finish.next.head)
    assert envelope.facts == {"a": 1}
    assert moved.finish.facts is None
    assert "'a' handed off to 'nobody'" in envelope.reason
    assert envelope.trail[-1].did == "fallback"
    assert envelope.spans == ((0, 3),)


def test_the_same_edge_is_taken_again_when_something_new_came_up() -> None:
    edges = make_graph(a="b", b="a")
    assert failure(settle(make_context(trail=LOOP, graph=edges), Handoff("b", facts={}))).code == "no_progress"
    assert target(settle(make_context(trail=LOOP, graph=edges), Handoff("b", facts={"new": 1}))) == "b"
    assert target(settle(make_context(trail=LOOP, graph=edges, has_new_steps=True), Handoff("b"))) == "b"


def test_a_run_over_its_hop_limit_fails_with_its_path() -> None:
    way = (TrailEntry(seq=0, agent="router", did="classified", to="a"),)
    error = failure(settle(make_context(budget=Budget(max_hops=1, hops_left=0), trail=way), Handoff("b")))
    assert (error.code, error.details) == ("hop_limit", {"max_hops": 1})
    assert "router → a → b" in error.message


@pytest.mark.parametrize(
    ("fallback", "trail", "hops_left"),
    [
        (None, (), 5),
        ("a", (), 5),
        ("ghost", (), 5),
        ("router", (), 5),
        ("c", (), 0),
        ("c", (TrailEntry(seq=0, agent="b", did="fallback", to="c"),), 5),
    ],
    ids=["none", "itself", "not registered", "router", "no hops left", "was there already"],
)
def test_a_fallback_that_cannot_take_the_run_lets_it_fail_with_the_first_reason(
    fallback: str | None, trail: tuple[TrailEntry, ...], hops_left: int
) -> None:
    graph = make_graph(fallback=fallback, a="b", b="", c="")
    context = make_context(graph=graph, trail=trail, budget=Budget(max_hops=9, hops_left=hops_left))
    assert failure(to_fallback(context, STOPPED)) == Failure(
        code="no_progress", message="a loop", agent="a", details={"loop": "a → b → a"}
    )


@pytest.mark.parametrize("trail", [(), (TrailEntry(seq=0, agent="b", did="fallback", to="human"),)])
def test_a_person_can_always_be_the_fallback(trail: tuple[TrailEntry, ...]) -> None:
    graph = make_graph(fallback="human", a="b", b="")
    settled = to_fallback(make_context(graph=graph, trail=trail, budget=Budget(max_hops=9, hops_left=0)), STOPPED)
    wait = settled.finish.wait
    assert wait is not None
    assert (wait.kind, wait.prompt) == ("human", "a loop")
    assert settled.body is None


def test_a_fallback_hop_uses_up_a_hop() -> None:
    settled = to_fallback(make_context(graph=FALLBACK), STOPPED)
    assert settled.finish.next is not None
    assert decode(settled.finish.next.head).budget.hops_left == 9


def test_passing_trouble_makes_the_hop_pending_again_for_later() -> None:
    finish = settle_error(make_context(attempt=2, claimed_at=7.0), ValueError("odd"), 1.23456).finish
    assert (finish.hop_status, finish.retry_in_s, finish.is_attempt) == ("pending", 1.23456, True)
    assert (finish.next, finish.end, finish.wait, finish.messages) == (None, None, None, ())
    assert finish.error == Failure(code="agent_error", message="ValueError: odd", agent="a")
    assert [(event.type, event.data) for event in finish.events] == [
        ("retry", {"delay_s": 1.235, "attempt": 2, "since": 7.0, "code": "agent_error", "message": "ValueError: odd"})
    ]


def test_the_last_attempt_fails_the_run() -> None:
    assert failure(settle_error(make_context(attempt=3, max_attempts=3), ValueError("odd"), 1.0)).code == "max_attempts"


def test_a_permanent_error_fails_the_run_at_once() -> None:
    settled = settle_error(make_context(), errors.PermanentError("account closed"), 1.0)
    assert failure(settled) == Failure(code="permanent", message="account closed", agent="a")
    assert [(event.type, event.data) for event in settled.finish.events] == [
        ("failed", {"code": "permanent", "message": "account closed"})
    ]


def test_a_refused_handoff_that_was_raised_goes_to_the_fallback() -> None:
    error = errors.HandoffRefusedError("no such agent", target="x", allowed=["b"])
    assert target(settle_error(make_context(graph=FALLBACK), error, 1.0)) == "c"


def test_a_suspended_hop_stands_still_and_uses_up_no_attempt() -> None:
    wait = NewWait("w1", 2, "approval", "a", "refund 500?", step_key="ok", step_scope="2")
    finish = suspend(make_context(claimed_at=7.0), wait).finish
    assert (finish.hop_status, finish.is_attempt, finish.wait, finish.next, finish.end) == (
        "waiting",
        False,
        wait,
        None,
        None,
    )
    assert [(event.type, event.data) for event in finish.events] == [
        ("wait", {"kind": "approval", "prompt": "refund 500?", "wait_id": "w1", "since": 7.0})
    ]


def test_a_hop_that_is_handed_back_can_be_taken_at_once_and_used_up_no_attempt() -> None:
    finish = hand_back(make_context().lease, since=7.0).finish
    assert (finish.hop_status, finish.retry_in_s, finish.is_attempt, finish.error) == ("pending", 0.0, False, None)
    assert [event.type for event in finish.events] == ["handed_back"]
