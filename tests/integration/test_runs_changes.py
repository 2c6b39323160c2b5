"""What changes while a run stands still, and who has left by the time it goes on."""

import asyncio
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from baton import Answer, Ask, Handoff, RequestError, Team, Turn, ids, router
from baton.broker.contract import Outgoing
from baton.envelope import reference
from baton.errors import IdempotencyConflictError, JournalUnavailableError, NotFoundError
from baton.journal.records import Cancel
from baton.journal.sqlite import writer
from baton.testing import ScriptedClassifier, serve
from tests.support.teams import a_team, an_agent
from tests.support.waiting import until


async def test_facts_that_came_with_a_reply_are_there_after_an_approval_too() -> None:
    def take(turn: Turn) -> Any:
        async def go_on() -> Answer:
            await turn.step("look", len, turn.facts["account"])
            approval = await turn.approve("sure", "go on?")
            return Answer(f"{bool(approval)} for {turn.facts['account']}")

        return go_on() if turn.reply or turn.kind == "resume" else Ask("which account?")

    async with serve(a_team(agents=[an_agent("a", take)])) as served:
        await served.send("refund", conversation_id="c")
        waiting = await served.send("this one", conversation_id="c", facts={"account": "42"})
        assert waiting.question is not None
        assert waiting.question.kind == "approval"
        assert (await served.reply(waiting, decision="approve")).text == "True for 42"


async def test_whom_a_person_hands_on_to_sees_what_was_said_and_learnt_meanwhile() -> None:
    def at_the_desk(turn: Turn) -> Any:
        if turn.text == "later":
            return Handoff("c", facts={"card": "new"})
        return Handoff("human", facts={"card": "old"})

    team = a_team(
        an_agent("a", at_the_desk) >> an_agent("c", lambda turn: Answer("meanwhile")),
        agents=[an_agent("b", lambda turn: Answer("seen", data=[turn.facts, [one.text for one in turn.messages]]))],
    )
    async with serve(team) as served:
        waiting = await served.send("first", conversation_id="c")
        await served.send("later", conversation_id="c", to="a")
        done = await served.reply(waiting, "I saw his passport", handoff="b", reason="checked")
        assert done.data == [{"card": "new"}, ["first", "later", "meanwhile", "I saw his passport"]]


async def test_an_agent_that_asks_the_router_for_another_does_not_keep_the_conversation() -> None:
    def take(turn: Turn) -> Any:
        return Handoff("router", reason="not mine") if turn.text == "other" else Answer("mine")

    classifier = ScriptedClassifier({"mine": "a", "third": "b"}, default="a")
    team = a_team(agents=[an_agent("a", take), an_agent("b", lambda turn: Answer("b"))], classifier=classifier)
    async with serve(team) as served:
        await served.send("mine", conversation_id="c")
        assert (await served.send("other", conversation_id="c")).status == "failed"
        third = await served.start("third", conversation_id="c")
        assert (await third.result()).agent == "b"
        routed = [event.data["how"] async for event in third.events() if event.type == "routed"]
        assert routed == ["classified"]


async def test_one_key_is_no_reply_to_two_runs() -> None:
    def take(turn: Turn) -> Any:
        return Answer(turn.reply) if turn.reply else Ask("sure?")

    async with serve(a_team(agents=[an_agent("a", take)])) as served:
        first, second = await served.send("one"), await served.send("two")
        assert (await served.reply(first, "yes", idempotency_key="m1")).text == "yes"
        assert not (await served.client.reply(first.run_id, "yes", idempotency_key="m1")).is_new
        with pytest.raises(IdempotencyConflictError):
            await served.client.reply(second.run_id, "yes", idempotency_key="m1")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda turn: turn.step("s", len, "x", effect="unsave"), "effect is 'unsave'; allowed are idempotent, keyed"),
        (lambda turn: turn.step("s", len, "x", scope="runn"), "scope is 'runn'; allowed are hop, run"),
        (lambda turn: turn.approve("s", "go on?", on_timeout="dney"), "on_timeout is 'dney'; allowed are deny"),
    ],
    ids=["effect", "scope", "on_timeout"],
)
async def test_a_misspelt_word_fails_the_run_at_once(call: Any, told: str) -> None:
    async with serve(a_team(agents=[an_agent("a", call)])) as served:
        failed = await served.send("hello")
        assert failed.error is not None
        assert (failed.status, failed.error.code) == ("failed", "turn")
        assert told in failed.error.message


async def test_an_approval_inside_a_task_group_suspends_like_any_other() -> None:
    def take(turn: Turn) -> Any:
        async def in_a_group() -> Answer:
            async with asyncio.TaskGroup() as group:
                asked = group.create_task(turn.approve("sure", "go on?"))
            return Answer(f"granted: {asked.result().granted}")

        return in_a_group()

    async with serve(a_team(agents=[an_agent("a", take)])) as served:
        waiting = await served.send("hello")
        assert waiting.status == "waiting"
        assert (await served.reply(waiting, decision="approve")).text == "granted: True"


@pytest.mark.parametrize(("fallback", "status"), [("human", "waiting"), (None, "failed")])
async def test_what_waits_for_an_agent_that_has_left_goes_to_the_fallback_or_fails(
    fallback: Any, status: str, tmp_path: Path
) -> None:
    journal = tmp_path / "journal.db"

    def never_ends(turn: Turn) -> Any:
        return Answer("sticky") if turn.text == "first" else asyncio.Event().wait()

    async with serve(a_team(agents=[an_agent("a", never_ends)]), journal=journal, grace_s=0.0) as served:
        await served.send("first", conversation_id="c")
        run = await served.start("hello")
        await until(lambda: _runs_at(served, run.run_id, "a"))

    left = Team(
        "desk",
        agents=[an_agent("b", lambda turn: Answer("b"))],
        fallback=fallback,
        classifier=ScriptedClassifier(default="b"),
    )
    async with serve(left, journal=journal) as served:
        result = await served.client.result(run.run_id)
        assert result.status == status
        assert (await served.send("follow-up", conversation_id="c")).agent == "b"
        assert set((await served.journal.registry()).cards) == {"b"}


async def _runs_at(served: Any, run_id: str, agent: str) -> bool:
    return any(hop.agent == agent and hop.status == "running" for hop in await served.journal.hops(run_id))


async def test_a_message_of_an_unknown_run_is_kept_in_quarantine(tmp_path: Path) -> None:
    path, run_id = tmp_path / "journal.db", ids.new_run_id()
    async with serve(a_team(agents=[an_agent("a", lambda turn: Answer("ok"))]), journal=path) as served:
        await served.service._broker.publish(Outgoing("a", reference(run_id, 1, "a"), run_id, 1))

        def reasons() -> list[str]:
            with sqlite3.connect(path) as connection:
                return [row[0] for row in connection.execute("SELECT reason FROM quarantine")]

        assert await until(reasons) == [f"unknown run {run_id}"]
        done = await served.send("hello")
        await served.service._broker.publish(Outgoing("a", reference(done.run_id, 1, "a"), done.run_id, 1))
        assert (await served.send("again")).text == "ok"
        assert len(reasons()) == 1


async def test_a_file_that_another_program_keeps_locked_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "BUSY_S", 0.2)
    path = tmp_path / "journal.db"
    async with serve(a_team(agents=[an_agent("a", lambda turn: Answer("ok"))]), journal=path, poll_s=60.0) as served:
        begun: list[str] = []
        connection = served.journal.writer._connection
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            connection.set_trace_callback(lambda sql: begun.append(sql) if sql.startswith("BEGIN") else None)
            sends = [served.start(f"text {number}") for number in range(20)]
            refused = await asyncio.gather(*sends, return_exceptions=True)
            connection.set_trace_callback(None)
            other.execute("ROLLBACK")
        assert {type(error) for error in refused} == {JournalUnavailableError}
        assert 0 < len(begun) <= 3 * writer.BUSY_S / writer.BUSY_LOOK_S
        assert (await served.send("hello")).text == "ok"


async def test_a_classifier_that_hangs_is_given_up_and_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "CLASSIFY_TIMEOUT_S", 0.05)
    hangs = threading.Event()

    class Hanging(ScriptedClassifier):
        def classify(self, text: str, cards: Any) -> Any:
            if text == "hang":
                hangs.wait()
            return super().classify(text, cards)

    team = a_team(agents=[an_agent("a", lambda turn: Answer("ok"))], classifier=Hanging(default="a"))
    async with serve(team) as served:
        failed = await served.send("hang")
        assert failed.error is not None
        assert (failed.status, failed.error.code) == ("failed", "max_attempts")
        assert "the classifier took longer than 0.05 s" in failed.error.message
        assert (await served.send("hello")).text == "ok"
    hangs.set()


async def test_a_run_of_another_tenant_cannot_be_cancelled() -> None:
    async with serve(a_team(agents=[an_agent("a", lambda turn: Ask("sure?"))])) as served:
        waiting = await served.send("hello")
        with pytest.raises(NotFoundError):
            await served.journal.cancel(Cancel(waiting.run_id, "mallory", tenant="other"))
        assert (await served.journal.status(waiting.run_id)) == "waiting"


@pytest.mark.parametrize("options", [5, "yes or no", {"yes": 1}])
async def test_options_that_are_no_list_fail_the_run_at_once(options: Any) -> None:
    async with serve(a_team(agents=[an_agent("a", lambda turn: Ask("sure?", options=options))])) as served:
        failed = await served.send("hello")
        assert failed.error is not None
        assert (failed.status, failed.error.code) == ("failed", "bad_outcome")


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"max_attempts": "3"}, "max_attempts is '3'"),
        ({"max_attempts": 2.5}, "max_attempts is 2.5"),
        ({"concurrency": "2"}, "concurrency is '2'"),
        ({"timeout_s": None}, "timeout_s is None"),
        ({"needs": dict}, "needs is <class 'dict'>"),
    ],
)
def test_a_number_or_model_of_the_wrong_kind_is_told_when_the_agent_is_made(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(Exception, match="agent 'a'") as caught:
        an_agent("a", lambda turn: Answer("ok"), **changes)
    assert told in str(caught.value)
    assert not isinstance(caught.value, RequestError)
