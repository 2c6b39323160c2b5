"""What an outcome becomes: the rows of one transaction, and the next envelope."""

from typing import Any

import pytest
from pydantic import BaseModel

from baton import Agent, Answer, Ask, Handoff
from baton.envelope import Budget, Envelope, HopName, TrailEntry, decode, sealed_digest
from baton.errors import FactsError, OutcomeError
from baton.journal.records import Finish, NewHop, NewMessage, RunEnd
from baton.protocol.route import Routed
from baton.protocol.settle import Settled, settle
from baton.routing.decision import RouteDecision
from tests.support.hops import RUN_ID, make_context


def next_hop(settled: Settled) -> tuple[NewHop, Envelope]:
    hop = settled.finish.next
    assert hop is not None
    return hop, decode(hop.head)


def test_an_answer_ends_the_run_and_its_agent_gets_the_follow_ups() -> None:
    settled = settle(make_context(), Answer("y" * 300, data={"n": 1}))
    assert settled.body is None
    finish = settled.finish
    assert (finish.hop_status, finish.lease.seq, finish.is_attempt) == ("done", 2, True)
    assert finish.end == RunEnd("completed", "a", "y" * 300, {"n": 1})
    assert finish.messages == (NewMessage("agent", "a", "y" * 300, {"n": 1}),)
    assert finish.active_agent == "a"
    assert finish.outcome == {"did": "answer", "text": "y" * 200}
    assert [(event.type, event.seq, event.data) for event in finish.events] == [("answer", 2, {"agent": "a"})]
    assert (finish.next, finish.wait, finish.facts) == (None, None, None)


def test_an_answer_that_releases_leaves_nobody_active() -> None:
    assert settle(make_context(), Answer("y", release=True)).finish.active_agent == ""


def test_an_ask_waits_for_the_user_and_comes_back_to_the_same_agent() -> None:
    context = make_context(facts={"card": "visa"}, skill="freeze", summary="so far", deadline_left_s=9.0)
    settled = settle(context, Ask("which card?", options=["visa", "amex"], deadline_s=60, on_timeout="escalate"))
    hop, envelope = next_hop(settled)
    assert (hop.seq, hop.agent, hop.kind, hop.status, hop.digest) == (3, "a", "reply", "waiting", "")
    assert (envelope.kind, envelope.skill, envelope.summary, envelope.facts) == (
        "reply",
        "freeze",
        "so far",
        {"card": "visa"},
    )
    assert envelope.spans == ((0, 4),)
    assert envelope.log_length == 4
    assert (envelope.budget.hops_left, envelope.budget.deadline_left_s) == (10, 9.0)
    assert envelope.trail[-1] == TrailEntry(seq=2, agent="a", did="ask", to="a", reason="which card?")
    wait = settled.finish.wait
    assert wait is not None
    assert (wait.kind, wait.seq, wait.agent, wait.prompt) == ("user", 3, "a", "which card?")
    assert (wait.options, wait.deadline_s, wait.on_timeout) == (("visa", "amex"), 60, "escalate")
    assert settled.body is None
    assert settled.finish.messages == (NewMessage("agent", "a", "which card?"),)
    assert (settled.finish.facts, settled.finish.active_agent, settled.finish.end) == (None, "a", None)


def test_each_ask_has_a_wait_of_its_own() -> None:
    waits = {getattr(settle(make_context(), Ask("q")).finish.wait, "wait_id", None) for _ in range(3)}
    assert len(waits) == 3


def test_an_ask_can_add_facts() -> None:
    settled = settle(make_context(facts={"a": 1, "b": 2}), Ask("q", facts={"b": None, "c": 3}))
    assert settled.finish.facts == next_hop(settled)[1].facts == {"a": 1, "c": 3}


def test_a_handoff_moves_control_context_and_facts_to_the_target() -> None:
    context = make_context(facts={"a": 1}, skill="freeze", reply="yes", kind="reply", deadline_left_s=9.0)
    settled = settle(context, Handoff("b", reason="unknown payment", facts={"card": "frozen"}))
    hop, envelope = next_hop(settled)
    assert (hop.seq, hop.agent, hop.from_agent, hop.kind, hop.status) == (3, "b", "a", "handoff", "pending")
    assert (envelope.run_id, envelope.seq, envelope.agent, envelope.from_agent) == (RUN_ID, 3, "b", "a")
    assert (envelope.skill, envelope.reply, envelope.reason) == (None, None, "unknown payment")
    assert envelope.facts == settled.finish.facts == {"a": 1, "card": "frozen"}
    assert (envelope.budget.hops_left, envelope.budget.deadline_left_s) == (9, 9.0)
    assert envelope.trail == (
        TrailEntry(seq=2, agent="a", did="handoff", to="b", reason="unknown payment", progress=1),
    )
    assert settled.finish.outcome == {"did": "handoff", "to": "b", "reason": "unknown payment", "messages": 3}
    assert (settled.finish.wait, settled.finish.end, settled.finish.active_agent) == (None, None, None)


def test_the_body_of_a_handoff_is_whole_and_is_the_hops() -> None:
    settled = settle(make_context(), Handoff("b"))
    assert settled.body is not None
    hop, stored = next_hop(settled)
    assert sealed_digest(settled.body) == hop.digest
    wire = decode(settled.body)
    assert [message.text for message in wire.messages] == ["said 0", "said 1", "said 2"]
    assert wire.request_text == "said 0"
    assert wire.model_copy(update={"messages": (), "text": None}) == stored


def test_a_handoff_to_an_agent_goes_to_its_name() -> None:
    assert next_hop(settle(make_context(), Handoff(Agent("b", "Another"))))[0].agent == "b"


@pytest.mark.parametrize(
    ("transfer", "summary", "spans"),
    [
        ("full", None, ((0, 3),)),
        (1, None, ((2, 3),)),
        (0, None, ()),
        ("summary", "short", ()),
        (lambda log: [log[0], log[2]], None, ((0, 1), (2, 3))),
    ],
)
def test_only_the_transferred_messages_cross_and_the_request_always_does(
    transfer: Any, summary: str | None, spans: tuple[tuple[int, int], ...]
) -> None:
    settled = settle(make_context(), Handoff("b", transfer=transfer, summary=summary))
    envelope = next_hop(settled)[1]
    assert (envelope.spans, envelope.summary) == (spans, summary)
    assert envelope.log_length == 3
    assert settled.body is not None
    wire = decode(settled.body)
    assert [message.position for message in wire.messages] == [n for first, last in spans for n in range(first, last)]
    assert wire.request_text == "said 0"


def test_a_transfer_that_cannot_be_done_is_an_error_of_the_turn() -> None:
    with pytest.raises(OutcomeError, match="needs summary"):
        settle(make_context(), Handoff("b", transfer="summary"))


def test_a_context_too_large_for_the_wire_travels_by_reference() -> None:
    small = settle(make_context(facts={"x": "y" * 60_000}), Handoff("b"))
    hop, _ = next_hop(small)
    assert hop.digest
    large = settle(make_context(), Handoff("b", transfer="summary", summary="y" * 300_000))
    hop, envelope = next_hop(large)
    assert large.body is not None
    assert len(large.body) < 400
    name = HopName.read(large.body)
    assert (name.run_id, name.seq) == (RUN_ID, 3)
    assert hop.digest == ""
    assert envelope.summary == "y" * 300_000


def test_a_handoff_to_a_person_waits_and_is_never_published() -> None:
    settled = settle(make_context(budget=Budget(max_hops=3, hops_left=0)), Handoff("human", reason="angry customer"))
    hop, envelope = next_hop(settled)
    assert (hop.agent, hop.status, hop.kind) == ("human", "waiting", "handoff")
    assert envelope.budget.hops_left == 0
    wait = settled.finish.wait
    assert wait is not None
    assert (wait.kind, wait.agent, wait.seq, wait.prompt, wait.deadline_s) == (
        "human",
        "human",
        3,
        "angry customer",
        None,
    )
    assert settled.body is None
    assert settled.finish.active_agent is None


def test_a_handoff_to_the_router_asks_for_a_new_route() -> None:
    settled = settle(make_context(), Handoff("router", reason="not mine"))
    hop, envelope = next_hop(settled)
    assert (hop.agent, hop.kind, envelope.from_agent) == ("router", "route", "a")
    assert envelope.budget.hops_left == 9


class NeedsCustomer(BaseModel):
    customer: int


def test_what_the_target_needs_of_the_facts_is_checked_before_the_handoff() -> None:
    context = make_context(needs={"b": NeedsCustomer}, facts={"customer": 7})
    assert next_hop(settle(context, Handoff("b")))[1].facts == {"customer": 7}
    with pytest.raises(FactsError, match="'b' needs facts that satisfy NeedsCustomer: customer: Field required"):
        settle(context, Handoff("b", facts={"customer": None}))
    assert settle(make_context(needs={"c": NeedsCustomer}), Handoff("b")).finish.next is not None


def test_facts_of_all_turns_together_have_a_limit() -> None:
    context = make_context(facts={"a": "x" * 60_000})
    for outcome in (Handoff("b", facts={"b": "x" * 6_000}), Ask("q", facts={"b": "x" * 6_000})):
        with pytest.raises(FactsError, match="at most 65536"):
            settle(context, outcome)


def routed(agent: str | None, **changes: Any) -> Routed:
    decision = RouteDecision("b", "skill", 0.9, "c", 0.8, "lexical", 0.4, "b", {"b": 0.9, "c": 0.1})
    return Routed(**{"agent": agent, "how": "classified", "reason": "skill (90%)", "decision": decision, **changes})


def router_context(**changes: Any) -> Any:
    return make_context(**{"agent": "router", "seq": 0, "kind": "route", "from_agent": None, **changes})


def test_a_route_gives_the_whole_log_the_skill_and_the_shift_to_the_agent() -> None:
    settled = settle(router_context(facts={"a": 1}), routed("b", skill="skill", shift=(("c", 0.3),)))
    hop, envelope = next_hop(settled)
    assert (hop.agent, hop.from_agent, hop.kind, hop.status) == ("b", "router", "handoff", "pending")
    assert (envelope.skill, envelope.shift, envelope.reason) == ("skill", (("c", 0.3),), "skill (90%)")
    assert (envelope.spans, envelope.facts, envelope.budget.hops_left) == (((0, 3),), {"a": 1}, 9)
    assert envelope.trail[-1].did == "classified"
    assert [event.type for event in settled.finish.events] == ["routed", "handoff"]
    assert settled.finish.events[0].data["confidence"] == 0.9
    assert settled.finish.facts is None


def test_a_route_to_nobody_fails_the_run_with_the_scores() -> None:
    finish = settle(router_context(), routed(None, reason="nobody surely")).finish
    error = finish.end and finish.end.error
    assert error is not None
    assert (error.code, error.message, error.agent) == ("no_agent", "nobody surely", "router")
    assert error.details == {"scores": {"b": 0.9, "c": 0.1}}
    unknown = settle(router_context(), routed(None, decision=None)).finish
    assert unknown.end is not None
    assert unknown.end.error is not None
    assert (unknown.end.error.code, unknown.end.error.details) == ("unknown_agent", {})


def test_a_route_past_the_hop_limit_fails_the_run() -> None:
    context = router_context(budget=Budget(max_hops=1, hops_left=0))
    end = settle(context, routed("b")).finish.end
    assert end is not None
    assert end.error is not None
    assert end.error.code == "hop_limit"


def test_a_route_to_a_person_waits_for_one() -> None:
    wait = settle(router_context(), routed("human", how="fallback")).finish.wait
    assert wait is not None
    assert wait.kind == "human"


@pytest.mark.parametrize(("outcome", "sent"), [(Handoff("b", transfer=1), 1), (Handoff("b"), 3)])
def test_the_timeline_tells_what_crossed_of_how_much(outcome: Handoff, sent: int) -> None:
    settled = settle(make_context(facts={"z": 1, "a": 2}), outcome)
    seen = settled.finish.events[-1]
    assert seen.type == "handoff"
    assert settled.body is not None
    assert seen.data == {
        "did": "handoff",
        "from": "a",
        "to": "b",
        "reason": "",
        "messages": sent,
        "of": 3,
        "bytes": len(settled.body),
        "facts": ["a", "z"],
    }


def test_settling_is_for_one_lease() -> None:
    finish: Finish = settle(make_context(), Handoff("b")).finish
    assert (finish.lease.run_id, finish.lease.seq, finish.lease.token) == (RUN_ID, 2, 7)
