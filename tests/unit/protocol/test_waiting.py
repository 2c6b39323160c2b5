"""What ends a wait, and what follows from it."""

import json
from typing import Any

import pytest

from baton.envelope import Envelope, Guard, decode
from baton.errors import RequestError
from baton.journal.records import NewMessage, NewWait, Reply, RunEnd
from baton.protocol.waiting import RELEASING, check_reply, expiry, resumption
from baton.testing.builders import make_envelope
from tests.support.hops import RUN_ID, make_graph

GRAPH = make_graph(a="b", b="")


def make_wait(kind: Any, **changes: Any) -> NewWait:
    fields = {"wait_id": "w1", "seq": 2, "kind": kind, "agent": "a", "prompt": "well?", "deadline_s": 60.0}
    if kind in ("approval", "review"):
        fields |= {"step_key": "k", "step_scope": "2", "input_sha": "sha"}
    return NewWait(**{**fields, **changes})


def make_reply(**changes: Any) -> Reply:
    return Reply(**{"run_id": RUN_ID, "by": "ann", **changes})


def hop(**changes: Any) -> Envelope:
    fields = {"run_id": RUN_ID, "seq": 2, "agent": "a", "kind": "handoff", "guard": Guard(progress=4), "log_length": 3}
    return make_envelope(**{**fields, "spans": ((0, 3),), **changes})


TEXT, APPROVE, REJECT, HANDOFF = {"text": "yes"}, {"decision": "approve"}, {"decision": "reject"}, {"handoff": "b"}


@pytest.mark.parametrize(
    ("kind", "takes"),
    [
        ("user", [TEXT]),
        ("approval", [APPROVE, REJECT]),
        ("human", [TEXT, REJECT, HANDOFF]),
        ("review", [APPROVE, REJECT, TEXT]),
    ],
)
def test_each_kind_of_wait_takes_its_own_answers_and_no_others(kind: str, takes: list[dict[str, str]]) -> None:
    for given in (TEXT, APPROVE, REJECT, HANDOFF, {}):
        if given in takes:
            check_reply(make_wait(kind), make_reply(**given), GRAPH)
            continue
        with pytest.raises(RequestError, match=f"a wait of kind '{kind}' takes") as caught:
            check_reply(make_wait(kind), make_reply(**given), GRAPH)
        assert caught.value.code == "bad_reply"
        seen = "handoff" if given is HANDOFF else given.get("decision") or ("text" if given else "nothing")
        assert str(caught.value).endswith(f"seen: {seen}")


@pytest.mark.parametrize(
    ("kind", "given", "field"),
    [
        ("user", {"text": ""}, "reply.text"),
        ("user", {"text": "a\0"}, "reply.text"),
        ("human", {"text": "a\ud800"}, "reply.text"),
        ("review", {"text": " "}, "reply.text"),
        ("human", {"handoff": "b", "text": "a\ud800"}, "reply.text"),
        ("approval", {"decision": "approve", "reason": "a\ud800"}, "reply.reason"),
        ("approval", {"decision": "approve", "by": "a\ud800"}, "reply.by"),
        ("human", {"handoff": "nobody"}, "handoff"),
        ("human", {"handoff": "human"}, "handoff"),
        ("human", {"handoff": "router"}, "handoff"),
    ],
)
def test_an_answer_that_could_not_be_stored_or_followed_is_refused(
    kind: str, given: dict[str, str], field: str
) -> None:
    with pytest.raises(RequestError) as caught:
        check_reply(make_wait(kind), make_reply(**given), GRAPH)
    assert caught.value.field == field


@pytest.mark.parametrize("kind", ["approval", "human", "review"])
def test_a_requester_does_not_answer_for_a_person(kind: str) -> None:
    with pytest.raises(RequestError, match=f"waits for a person \\({kind}\\)") as caught:
        check_reply(make_wait(kind), make_reply(text="approved", is_requesters=True), GRAPH)
    assert caught.value.code == "not_yours"
    check_reply(make_wait("user"), make_reply(text="visa", is_requesters=True), GRAPH)


def test_a_handoff_to_a_stranger_tells_who_is_registered() -> None:
    with pytest.raises(RequestError, match="'nobody' is no registered agent; registered are a, b"):
        check_reply(make_wait("human"), make_reply(handoff="nobody"), GRAPH)


def test_the_users_reply_joins_the_log_and_resumes_the_hop_with_it() -> None:
    does = resumption(make_wait("user"), hop(kind="reply"), make_reply(text="visa"))
    assert (does.does, does.message, does.step, does.end) == ("resume", NewMessage("user", None, "visa"), None, None)
    assert does.head is not None
    resumed = decode(does.head)
    assert (resumed.reply, resumed.kind) == ("visa", "reply")
    assert (resumed.log_length, resumed.spans) == (4, ((0, 4),))
    assert resumed.guard.progress == 5
    assert does.event == {"by": "ann", "wait_id": "w1"}


def test_a_reply_extends_what_was_transferred_even_where_that_was_a_cut() -> None:
    does = resumption(make_wait("user"), hop(spans=((1, 2),), log_length=5), make_reply(text="visa"))
    assert does.head is not None
    assert decode(does.head).spans == ((1, 2), (5, 6))


@pytest.mark.parametrize(("decision", "granted"), [("approve", True), ("reject", False)])
def test_an_approval_is_recorded_as_the_step_that_asked_for_it(decision: str, granted: bool) -> None:
    does = resumption(make_wait("approval"), hop(), make_reply(decision=decision, reason="fine"))
    assert (does.does, does.forgets_step, does.message) == ("resume", False, None)
    assert does.step is not None
    assert (does.step.scope, does.step.key, does.step.status, does.step.input_sha, does.step.seq) == (
        "2",
        "k",
        "done",
        "sha",
        2,
    )
    assert json.loads(does.step.result) == {"granted": granted, "by": "ann", "reason": "fine"}
    assert does.head is not None
    resumed = decode(does.head)
    assert (resumed.kind, resumed.guard.progress, resumed.reply) == ("resume", 5, None)
    assert does.event == {"by": "ann", "reason": "fine", "decision": decision, "wait_id": "w1"}


def test_a_person_can_answer_the_user() -> None:
    does = resumption(make_wait("human", agent="human"), hop(agent="human"), make_reply(text="all settled"))
    assert (does.does, does.end) == ("end", RunEnd("completed", "human", "all settled"))
    assert does.message == NewMessage("person", "ann", "all settled")


def test_a_text_beside_a_decision_is_its_reason() -> None:
    does = resumption(make_wait("approval"), hop(), make_reply(decision="reject", text="too much"))
    assert does.step is not None
    assert json.loads(does.step.result)["reason"] == "too much"


@pytest.mark.parametrize(("reason", "told"), [("spam", "ann declined: spam"), ("", "ann declined: no reason given")])
def test_a_person_can_decline(reason: str, told: str) -> None:
    does = resumption(make_wait("human"), hop(agent="human"), make_reply(decision="reject", reason=reason))
    assert does.end is not None
    assert does.end.error is not None
    assert (does.end.status, does.end.agent, does.end.error.code, does.end.error.message) == (
        "failed",
        "human",
        "declined",
        told,
    )


@pytest.mark.parametrize(
    ("given", "reason"),
    [({}, "given on by ann"), ({"reason": "look"}, "look"), ({"text": "see the note"}, "see the note")],
)
def test_a_person_can_give_the_run_to_an_agent(given: dict[str, str], reason: str) -> None:
    waiting = hop(agent="human", skill="freeze", reply="x", from_agent="a")
    does = resumption(make_wait("human"), waiting, make_reply(handoff="b", **given))
    assert (does.does, does.wait, does.end) == ("hand_on", None, None)
    assert does.next is not None
    assert (does.next.seq, does.next.agent, does.next.from_agent, does.next.status) == (3, "b", "human", "pending")
    envelope = decode(does.next.head)
    assert (envelope.seq, envelope.agent, envelope.from_agent, envelope.reason) == (3, "b", "human", reason)
    assert (envelope.kind, envelope.skill, envelope.reply, envelope.guard.progress) == ("handoff", None, None, 5)
    assert (envelope.trail[-1].agent, envelope.trail[-1].to, envelope.trail[-1].reason) == ("human", "b", reason)
    assert does.event is not None
    assert does.event["to"] == "b"
    assert does.message == (NewMessage("person", "ann", given["text"]) if "text" in given else None)


def test_an_approved_review_runs_the_step_again() -> None:
    does = resumption(make_wait("review"), hop(), make_reply(decision="approve"))
    assert (does.does, does.forgets_step, does.step, does.end) == ("resume", True, None, None)
    assert does.head is not None
    assert decode(does.head).kind == "resume"


@pytest.mark.parametrize(
    ("text", "result"), [('{"id": 7}', {"id": 7}), ("7", 7), ("done by hand", "done by hand"), ("NaN", "NaN")]
)
def test_a_text_is_the_result_of_the_step_under_review(text: str, result: object) -> None:
    does = resumption(make_wait("review"), hop(), make_reply(text=text))
    assert (does.does, does.forgets_step) == ("resume", True)
    assert does.step is not None
    assert json.loads(does.step.result) == result
    assert (does.step.status, does.step.input_sha, does.step.key) == ("done", "sha", "k")


def test_a_rejected_review_ends_the_run_and_names_the_step() -> None:
    does = resumption(make_wait("review"), hop(), make_reply(decision="reject", reason="double"))
    assert does.end is not None
    assert does.end.error is not None
    assert (does.does, does.end.status, does.end.error.code) == ("end", "failed", "review_rejected")
    assert does.end.error.message == "ann stopped the run at step 'k': double"


def test_a_deadline_that_denies_records_a_refusal() -> None:
    does = expiry(make_wait("approval", on_timeout="deny"), hop())
    assert does.does == "resume"
    assert does.step is not None
    assert json.loads(does.step.result) == {"granted": False, "by": "deadline", "reason": "nobody answered within 60 s"}


def test_a_deadline_that_escalates_gives_the_run_to_a_person() -> None:
    does = expiry(make_wait("user", on_timeout="escalate", prompt="w" * 300), hop())
    assert does.does == "hand_on"
    assert does.next is not None
    assert does.wait is not None
    assert (does.next.agent, does.next.status, does.next.seq) == ("human", "waiting", 3)
    assert (does.wait.kind, does.wait.seq, does.wait.agent, does.wait.deadline_s) == ("human", 3, "human", None)
    assert does.wait.prompt == f"no answer within 60 s to: {'w' * 200}"
    assert does.wait.wait_id != "w1"


def test_a_deadline_that_fails_ends_the_run() -> None:
    does = expiry(make_wait("user", on_timeout="fail"), hop())
    assert does.end is not None
    assert does.end.error is not None
    assert (does.end.status, does.end.error.code, does.end.error.agent) == ("failed", "wait_expired", "a")
    assert does.end.error.message == "no answer within 60 s to the user wait of agent 'a'"
    assert does.event == {"by": "deadline", "wait_id": "w1", "on_timeout": "fail"}


def test_a_run_that_waits_for_a_person_frees_its_conversation_and_for_its_user_keeps_it() -> None:
    assert {"approval", "human", "review"} == RELEASING
