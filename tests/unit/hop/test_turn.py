"""A turn: what an agent's function is given."""

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from baton import Answer, Message, Shift, TrailEntry, Turn
from baton.envelope import Budget, Envelope
from baton.hop.steps import Steps, Suspended
from baton.journal.records import Step
from baton.testing import make_turn
from baton.testing.builders import make_envelope


async def nothing(*_: Any) -> tuple[Message, ...]:
    return ()


def turn_of(envelope: Envelope, **changes: Any) -> Turn:
    async def write(step: Step) -> bool:
        return True

    steps = Steps(1, envelope.agent, root_run_id=envelope.run_id, attempt=1, recorded=(), write=write)
    given = {"attempt": 1, "deadline_at": None, "resources": None, "read_history": nothing, "emit": nothing, **changes}
    return Turn(envelope, steps=steps, **given)


def test_a_turn_shows_the_context_of_its_hop() -> None:
    log = (Message(position=0, role="user", text="my card"),)
    entry = TrailEntry(seq=0, agent="router", did="classified", to="cards")
    envelope = make_envelope(
        "my card",
        agent="cards",
        seq=3,
        tenant="bank",
        from_agent="payments",
        kind="reply",
        reply="yes",
        skill="freeze",
        reason="a card",
        summary="so far",
        facts={"customer": 7},
        trail=(entry,),
        messages=log,
        budget=Budget(max_hops=9, hops_left=5),
    )
    turn = turn_of(envelope, attempt=2, deadline_at=12.5, resources="bank")
    assert (turn.text, turn.skill, turn.messages, turn.facts) == ("my card", "freeze", log, {"customer": 7})
    assert (turn.summary, turn.reason, turn.from_agent, turn.kind) == ("so far", "a card", "payments", "reply")
    assert (turn.seq, turn.trail, turn.budget.hops_left, turn.reply) == (3, (entry,), 5, "yes")
    assert (turn.conversation_id, turn.run_id, turn.tenant) == (envelope.conversation_id, envelope.run_id, "bank")
    assert (turn.attempt, turn.deadline, turn.resources, turn.shift) == (2, 12.5, "bank", None)


def test_the_request_is_shown_even_where_its_message_did_not_cross() -> None:
    envelope = make_envelope("my card", messages=(), spans=())
    assert (turn_of(envelope).text, turn_of(envelope).messages) == ("my card", ())


def test_a_shift_is_a_hint_that_the_agent_may_follow() -> None:
    turn = turn_of(make_envelope(shift=(("payments", 0.6),)))
    assert turn.shift == Shift((("payments", 0.6),), confident=False)


def test_facts_are_changed_by_returning_them_and_in_no_other_way() -> None:
    turn = make_turn(facts={"a": 1})
    turn.facts["a"] = 2
    assert turn.facts == {"a": 1}


class Customer(BaseModel):
    customer: int


def test_facts_can_be_had_as_a_model() -> None:
    assert make_turn(facts={"customer": "7", "more": 1}).facts_as(Customer) == Customer(customer=7)
    with pytest.raises(ValidationError, match="customer"):
        make_turn(facts={}).facts_as(Customer)


async def test_a_turn_made_for_a_test_records_steps_and_progress() -> None:
    turn = make_turn("freeze my card", skill="freeze", resources={"db": 1}, agent="cards")

    async def handler(turn: Turn) -> Answer:
        frozen = await turn.step("freeze", lambda card: {"frozen": card}, turn.text[-4:], effect="idempotent")
        await turn.emit({"at": 1})
        return Answer(json.dumps(frozen), data=turn.resources)

    assert await handler(turn) == Answer('{"frozen": "card"}', data={"db": 1})
    assert turn.recorded["freeze"].result == b'{"frozen":"card"}'
    assert turn.emitted == [{"at": 1}]
    assert [message.text for message in await turn.history()] == ["freeze my card"]


async def test_a_turn_made_for_a_test_replays_what_another_recorded() -> None:
    first = make_turn()
    assert await first.step("k", lambda: 1) == 1
    again = make_turn(recorded=list(first.recorded.values()), attempt=2)
    assert await again.step("k", lambda: 2) == 1


async def test_an_approval_in_a_test_suspends_the_turn() -> None:
    with pytest.raises(Suspended) as caught:
        await make_turn(agent="cards").approve("refund", "refund 500?", deadline_s=60)
    assert (caught.value.wait.agent, caught.value.wait.on_timeout) == ("cards", "deny")


def test_a_turn_made_for_a_test_is_a_reply_where_one_is_given() -> None:
    assert (make_turn(reply="yes").kind, make_turn().kind) == ("reply", "handoff")
