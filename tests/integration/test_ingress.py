"""What other programs publish to `baton.requests`, and what they get back: real broker, whole team."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from baton import Answer, Ask, Handoff, Turn
from baton.service import Service
from baton.testing import scripted_agent
from tests.support.requests import Program, dead, program, publish_without_key, runs, served
from tests.support.servers.handles import RabbitServer
from tests.support.teams import a_team, an_agent
from tests.support.waiting import until


@pytest.fixture
async def service(amqp_url: str, tmp_path: Path) -> AsyncIterator[Service]:
    async with served(amqp_url, tmp_path) as service:
        yield service


@pytest.fixture
async def sender(amqp_url: str, service: Service) -> AsyncIterator[Program]:
    async with program(amqp_url) as one:
        yield one


async def test_a_bare_text_is_a_request(sender: Program, service: Service) -> None:
    await sender.publish({"text": "hello"}, correlation_id="mine")
    [came] = await sender.answers()
    body = came.body
    assert came.correlation_id == "mine"
    assert (body["status"], body["text"], body["agent"]) == ("completed", "said hello", "a")
    assert (body["trail"], body["error"], body["facts"]) == (["router", "a"], None, {})
    assert body["conversation_id"] == body["run_id"] == came.headers["baton-run"]
    assert (await service.journal.result(body["run_id"])).text == "said hello"


async def test_every_field_of_a_request_counts(sender: Program, service: Service) -> None:
    fields = {"conversation_id": "c", "facts": {"n": 1}, "to": "b", "deadline_s": 60, "max_hops": 3}
    await sender.publish({"text": "hello", **fields})
    [came] = await sender.answers()
    assert (came.body["agent"], came.body["conversation_id"], came.body["facts"]) == ("b", "c", {"n": 1})
    run = await service.journal.run(came.body["run_id"])
    assert run.deadline_at is not None
    assert 50 < run.deadline_at - run.accepted_at < 70


async def test_a_request_to_an_agent_that_is_not_there_fails(sender: Program) -> None:
    await sender.publish({"text": "hello", "to": "nobody-here"})
    [came] = await sender.answers()
    assert (came.body["status"], came.body["error"]["code"]) == ("failed", "unknown_agent")


async def test_the_tenant_is_the_user_that_the_broker_checked(sender: Program, service: Service, amqp_url: str) -> None:
    user = URL(amqp_url).user
    await sender.publish({"text": "hello"}, user_id=user)
    await sender.publish({"text": "hello"})
    said = {came.body["data"]["tenant"] for came in await sender.answers(2)}
    assert said == {user, "default"}
    assert {run.tenant for run in await runs(service.journal)} == said


async def test_who_asked_is_known_to_the_trace(sender: Program, service: Service) -> None:
    caller = f"00-{'a' * 32}-{'b' * 16}-01"
    await sender.publish({"text": "hello"}, headers={"traceparent": caller, "tracestate": "x=1"})
    [came] = await sender.answers()
    assert (await service.journal.run(came.body["run_id"])).caller == caller


async def test_a_key_is_one_run_and_each_address_is_answered(sender: Program, service: Service, amqp_url: str) -> None:
    async with program(amqp_url) as other:
        await sender.publish({"text": "hello"}, message_id="k", correlation_id="1")
        await sender.answers()
        await sender.publish({"text": "hello"}, message_id="k", correlation_id="1")
        await sender.publish({"text": "hello"}, message_id="k", correlation_id="2")
        await other.publish({"text": "hello"}, message_id="k")
        [late] = await other.answers()
        first, second = await sender.answers(2)
        assert first.body == second.body == late.body
        assert (first.message_id, late.message_id) == (second.message_id, first.message_id), "stable ids"
        assert (first.correlation_id, second.correlation_id, late.correlation_id) == ("1", "2", None)
    assert len(await runs(service.journal)) == 1
    assert len(sender.came) == 2, "a known address adds nothing"


async def test_while_the_run_is_open_each_address_of_a_key_waits_for_the_one_result(
    amqp_url: str, tmp_path: Path
) -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def take(turn: Turn) -> Answer:
        begun.set()
        await may_end.wait()
        return Answer("done")

    async with (
        served(amqp_url, tmp_path, a_team(agents=[an_agent("a", take)])) as service,
        program(amqp_url) as one,
        program(amqp_url) as other,
    ):
        await one.publish({"text": "x"}, message_id="k")
        await begun.wait()
        await other.publish({"text": "x"}, message_id="k")
        await other.publish({"text": "y"}, message_id="mark")
        await until(lambda: _has_runs(service, 2))
        may_end.set()
        [came] = await one.answers()
        assert came.body in [answer.body for answer in await other.answers(2)]
        assert len(await runs(service.journal)) == 2


async def _has_runs(service: Service, count: int) -> bool:
    return len(await runs(service.journal)) == count


async def test_another_body_under_a_known_key_is_rejected(sender: Program, service: Service) -> None:
    await sender.publish({"text": "hello"}, message_id="k")
    await sender.answers()
    await sender.publish({"text": "other"}, message_id="k", correlation_id="2")
    came = (await sender.answers(2))[1]
    assert (came.body["status"], came.body["error"]["code"]) == ("rejected", "idempotency_conflict")
    assert came.correlation_id == "2"
    assert len(await runs(service.journal)) == 1
    assert len(await dead(service.journal)) == 1


async def test_without_a_key_a_repetition_is_a_run_of_its_own(
    sender: Program, service: Service, amqp_server: RabbitServer, amqp_url: str
) -> None:
    for _ in range(2):
        where = {"reply_to": sender.queue.name, "correlation_id": "1"}
        await publish_without_key(amqp_server, amqp_url, {"text": "hello"}, **where)
    one, two = await sender.answers(2)
    assert one.body["run_id"] != two.body["run_id"]
    assert one.message_id != two.message_id
    assert len(await runs(service.journal)) == 2


async def test_a_question_is_answered_in_its_conversation(sender: Program, service: Service) -> None:
    await sender.publish({"text": "ask", "conversation_id": "c"}, correlation_id="1")
    [asked] = await sender.answers()
    body = asked.body
    assert (body["status"], body["question"], body["options"]) == ("waiting", "which one?", ["red", "blue"])
    assert body["wait_id"]
    await sender.publish({"text": "blue", "conversation_id": "c"}, correlation_id="2")
    done = (await sender.answers(3))[1:]
    assert {came.correlation_id for came in done} == {"1", "2"}
    assert {(came.body["run_id"], came.body["text"]) for came in done} == {(body["run_id"], "said blue")}
    assert len({came.message_id for came in done}) == 1
    assert asked.message_id != done[0].message_id
    assert len(await runs(service.journal)) == 1


async def test_a_wait_is_answered_by_its_id_once(sender: Program) -> None:
    await sender.publish({"text": "ask"}, correlation_id="1")
    [asked] = await sender.answers()
    reply = {"run_id": asked.body["run_id"], "wait_id": asked.body["wait_id"], "text": "red"}
    await sender.publish({"reply": reply}, correlation_id="1", message_id="r")
    done = (await sender.answers(2))[1]
    assert (done.body["status"], done.body["text"]) == ("completed", "said red")
    await sender.publish({"reply": reply}, correlation_id="again", message_id="r")
    repeated = (await sender.answers(3))[2]
    assert (repeated.body, repeated.correlation_id) == (done.body, "again")
    await sender.publish({"reply": {**reply, "text": "blue"}}, correlation_id="late")
    late = (await sender.answers(4))[3]
    assert (late.body["status"], late.body["error"]["code"]) == ("rejected", "not_waiting")
    assert late.correlation_id == "late"


async def test_a_requester_does_not_answer_for_a_person(amqp_url: str, tmp_path: Path) -> None:
    team = a_team(agents=[scripted_agent("a", Handoff("human", reason="too hard"))])
    async with served(amqp_url, tmp_path, team) as service, program(amqp_url) as sender:
        await sender.publish({"text": "hello"}, correlation_id="1")
        [run] = await until(lambda: runs(service.journal))
        await until(lambda: service.journal.waits(run.run_id))
        await sender.publish({"reply": {"run_id": run.run_id, "text": "I say it is solved"}})
        [came] = await sender.answers()
        assert (came.body["status"], came.body["error"]["code"]) == ("rejected", "not_yours")
        assert (await service.journal.run(run.run_id)).status == "waiting"
        await service.client.reply(run.run_id, "solved", by="ann")
        assert (await sender.answers(2))[1].body["text"] == "solved"


async def test_a_cancel_ends_the_run_for_all_who_asked(sender: Program) -> None:
    await sender.publish({"text": "ask"}, correlation_id="1")
    [asked] = await sender.answers()
    await sender.publish({"cancel": {"run_id": asked.body["run_id"], "reason": "no need"}}, correlation_id="2")
    ended = (await sender.answers(3))[1:]
    assert {came.correlation_id for came in ended} == {"1", "2"}
    assert {came.body["status"] for came in ended} == {"cancelled"}
    assert "no need" in ended[0].body["error"]["message"]


@pytest.mark.parametrize("wish", [{"cancel": {"run_id": "0" * 32}}, {"reply": {"run_id": "0" * 32, "text": "x"}}])
async def test_a_wish_for_an_unknown_run_is_rejected(sender: Program, wish: dict[str, Any]) -> None:
    await sender.publish(wish)
    [came] = await sender.answers()
    assert came.body["error"]["code"] == "not_found"


async def test_a_run_of_another_tenant_is_unknown(sender: Program, amqp_url: str) -> None:
    await sender.publish({"text": "ask"}, user_id=URL(amqp_url).user)
    [asked] = await sender.answers()
    await sender.publish({"cancel": {"run_id": asked.body["run_id"]}})
    came = (await sender.answers(2))[1]
    assert came.body["error"]["code"] == "not_found"


async def test_a_result_that_nobody_can_get_is_marked_and_harms_nobody(sender: Program, service: Service) -> None:
    await sender.publish({"text": "lost"}, reply_to="no-such-queue", message_id="lost")
    await sender.publish({"text": "hello"})
    [came] = await sender.answers()
    assert came.body["text"] == "said hello"

    async def marks() -> list[Any]:
        [run] = [run for run in await runs(service.journal) if run.text == "lost"]
        return [event for event in await service.journal.events(run.run_id) if event.type == "undeliverable"]

    [mark] = await until(marks)
    assert mark.data == {"reply_to": "no-such-queue"}
    assert await service.journal.due_results(limit=10, retry_s=1) == [], "it is not tried again"


async def test_no_address_is_fine(sender: Program, service: Service) -> None:
    await sender.publish({"text": "silent"}, reply_to=None)
    await sender.publish({"nonsense": 1}, reply_to=None)
    await sender.publish({"text": "hello"})
    [came] = await sender.answers()
    assert came.body["text"] == "said hello"
    await until(lambda: _all_ended(service, 2))
    assert len(await dead(service.journal)) == 1


async def _all_ended(service: Service, count: int) -> bool:
    found = await runs(service.journal)
    return len(found) == count and all(run.ended_at for run in found)


async def test_batons_own_queues_are_no_addresses(sender: Program, service: Service) -> None:
    await sender.publish({"text": "hello"}, reply_to="baton.agent.a")
    await sender.publish({"text": "hello"})
    await sender.answers()
    [kept] = await until(lambda: dead(service.journal))
    assert "names that begin with 'baton.' are Baton's own" in kept.message
    assert len(await runs(service.journal)) == 1


DEEP = b'{"text": "x", "facts": {"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}"


@pytest.mark.parametrize(
    ("body", "code", "field"),
    [
        (b"", "bad_json", None),
        (b"plain text", "bad_json", None),
        (b'{"text": "caf\xe9"}', "bad_json", None),
        (b'{"text": "x", "facts": {"n": NaN}}', "bad_json", None),
        (DEEP, "bad_json", None),
        (b'["text"]', "bad_request", None),
        (b"null", "bad_request", None),
        (b"{}", "bad_request", "text"),
        (b'{"text": ""}', "invalid_text", "text"),
        (b'{"text": 7}', "invalid_text", "text"),
        (b'{"text": "a\\u0000b"}', "invalid_text", "text"),
        (b'{"text": "\\ud800"}', None, None),
        (b'{"text": "%s"}' % (b"x" * 262_145), "invalid_text", "text"),
        (b'{"text": "%s"}' % (b"x" * 15_000_000), "too_large", None),
        (b'{"text": "x", "txt": "y"}', "unknown_field", "txt"),
        (b'{"text": "x", "facts": []}', "bad_field", "facts"),
        (b'{"text": "x", "facts": {"n": "%s"}}' % (b"y" * 65_536), "bad_facts", "facts"),
        (b'{"text": "x", "to": 7}', "bad_field", "to"),
        (b'{"text": "x", "deadline_s": -1}', "bad_field", "deadline_s"),
        (b'{"text": "x", "conversation_id": "a\\u0000"}', "bad_field", "conversation_id"),
        (b'{"reply": {"run_id": "x"}}', "bad_field", "reply.text"),
        (b'{"reply": {"run_id": "x", "text": "y", "by": "z"}}', "unknown_field", "reply.by"),
        (b'{"cancel": "x"}', "bad_field", "cancel"),
        (b'{"cancel": {"run_id": "x"}, "text": "y"}', "unknown_field", "text"),
    ],
    ids=lambda value: repr(value)[:40] if isinstance(value, bytes) else None,
)
async def test_what_is_no_request_is_rejected_and_kept(
    sender: Program, service: Service, body: bytes, code: str | None, field: str | None
) -> None:
    await sender.publish({"text": "before"}, correlation_id="before")
    await sender.publish(body, correlation_id="bad", message_id="m1")
    await sender.publish({"text": "after"}, correlation_id="after")
    came = {one.correlation_id: one for one in await sender.answers(3)}
    assert (came["before"].body["text"], came["after"].body["text"]) == ("said before", "said after")
    rejected = came["bad"].body
    assert rejected["status"] == "rejected"
    assert rejected["error"]["message"]
    assert len(json.dumps(rejected)) < 2_000, "it does not send the body back"
    if code is not None:
        assert (rejected["error"]["code"], rejected["error"]["field"]) == (code, field)
    [view] = await dead(service.journal)
    kept = await service.journal.quarantined(view.id)
    assert (kept.source, kept.body) == ("baton.requests", body)
    assert kept.headers["message_id"] == "m1"
    assert kept.headers["correlation_id"] == "bad"


async def test_a_message_that_is_rejected_twice_is_told_under_the_same_id(sender: Program) -> None:
    for _ in range(2):
        await sender.publish(b"nonsense", message_id="k")
    await sender.publish(b"nonsense", message_id="l")
    ids = Counter(came.message_id for came in await sender.answers(3))  # which comes first is nobody's promise
    assert sorted(ids.values()) == [1, 2]


@pytest.mark.parametrize("name", ["message_id", "correlation_id"])
async def test_a_property_that_cannot_be_stored_is_rejected(sender: Program, name: str) -> None:
    await sender.publish({"text": "x"}, **{name: "a\0b"})
    [came] = await sender.answers()
    assert (came.body["error"]["code"], came.body["error"]["field"]) == ("invalid_text", name)


async def test_a_hundred_requests_and_as_many_bad_ones_are_all_answered(sender: Program, service: Service) -> None:
    for number in range(100):
        await sender.publish({"text": f"good {number}"}, correlation_id=f"good {number}")
        await sender.publish({"txt": "bad"}, correlation_id=f"bad {number}")
    came = await sender.answers(200, timeout_s=60)
    assert {one.correlation_id: one.body.get("text") for one in came} == {
        f"{kind} {number}": f"said good {number}" if kind == "good" else None
        for kind in ("good", "bad")
        for number in range(100)
    }
    assert len(await runs(service.journal)) == 100


async def test_questions_of_a_conversation_reach_who_asked_last_too(amqp_url: str, tmp_path: Path) -> None:
    def take(turn: Turn) -> Answer | Ask:
        return Answer(f"said {turn.reply}") if turn.reply == "two" else Ask(f"after {turn.reply or turn.text}?")

    async with served(amqp_url, tmp_path, a_team(agents=[an_agent("a", take)])), program(amqp_url) as one:
        for number, text in enumerate(("start", "one", "two")):
            await one.publish({"text": text, "conversation_id": "c"}, correlation_id="x")
            await one.answers(number + 1)
        assert [came.body["question"] or came.body["text"] for came in one.came] == [
            "after start?",
            "after one?",
            "said two",
        ]
        assert len({came.message_id for came in one.came}) == 3
