"""Whole runs that failed and are redriven: they go on where they ended, and no effect happens twice."""

import pytest

from baton import Agent, Answer, Ask, Handoff, Turn
from baton.errors import RequestError
from baton.journal.views import DeadFilter
from baton.testing import serve
from tests.support.teams import a_team, an_agent
from tests.support.waiting import until


class Bank:
    """Does what it is told once per idempotency key, and fails while it is down."""

    def __init__(self) -> None:
        self.is_down = True
        self.booked: dict[str, str] = {}
        self.calls: list[str] = []

    async def book(self, what: str, *, idempotency_key: str) -> str:
        self.calls.append(what)
        done = self.booked.setdefault(idempotency_key, what)
        if self.is_down and what == "refund":
            raise ConnectionError("the bank is down")
        return f"{done} booked"

    def agent(self, name: str = "b") -> Agent:
        """Return an agent that blocks a card and refunds a payment."""

        async def take(turn: Turn) -> Answer:
            first = await turn.step("block", self.book, "block", effect="keyed")
            second = await turn.step("refund", self.book, "refund", effect="keyed")
            return Answer(f"{first}, {second}")

        return an_agent(name, take, max_attempts=3)


async def test_a_run_that_used_its_attempts_is_redriven_and_each_effect_happens_once() -> None:
    bank = Bank()
    asked: list[str] = []

    def front(turn: Turn) -> Handoff:
        asked.append(turn.run_id)
        return Handoff("b", reason="refund it", facts={"seen": 1})

    async with serve(a_team(an_agent("a", front) >> bank.agent())) as served:
        failed = await served.send("refund me", facts={"customer": "ann"})
        assert failed.error is not None
        assert (failed.status, failed.error.code) == ("failed", "max_attempts")
        assert bank.calls == ["block", "refund", "refund", "refund"]
        [view] = await served.journal.dead(DeadFilter())
        assert view.id == failed.run_id
        bank.is_down = False
        redriven = await served.client.redrive(failed.run_id, by="ann")
        result = await redriven.result(timeout_s=20)
        assert (result.status, result.text) == ("completed", "block booked, refund booked")
        assert (result.trail, result.facts) == (("router", "a", "b"), {"customer": "ann", "seen": 1})
        assert asked == [failed.run_id], "only the last hop is tried again"
        assert bank.calls == ["block", "refund", "refund", "refund", "refund"]
        assert sorted(bank.booked.values()) == ["block", "refund"]
        assert await served.journal.dead(DeadFilter()) == []
        with pytest.raises(RequestError, match=f"redriven before, as {redriven.run_id}"):
            await served.client.redrive(failed.run_id)


async def test_a_redriven_run_is_done_in_its_turn_and_follow_ups_come_after() -> None:
    is_cured = False

    def take(turn: Turn) -> Answer:
        if turn.text == "first" and not is_cured:
            raise RuntimeError("not yet")
        return Answer(f"{turn.text} done")

    async with serve(a_team(agents=[an_agent("a", take, max_attempts=1)])) as served:
        failed = await served.send("first", conversation_id="c1")
        assert (await served.send("second", conversation_id="c1")).text == "second done"
        is_cured = True
        redriven = await served.client.redrive(failed.run_id)
        follow_up = await served.send("third", conversation_id="c1")
        assert follow_up.text == "third done"
        assert (await redriven.result()).text == "first done"
        said = [message.text for message in await served.journal.history("default", "c1")]
        assert said == ["first", "second", "second done", "first done", "third", "third done"]


async def test_what_a_user_had_answered_is_not_asked_again() -> None:
    is_cured = False

    def take(turn: Turn) -> Answer | Ask:
        if turn.reply is None:
            return Ask("which card?")
        if not is_cured:
            raise RuntimeError("not yet")
        return Answer(f"{turn.reply} it is")

    async with serve(a_team(agents=[an_agent("a", take, max_attempts=2)])) as served:
        failed = await served.reply(await served.send("my card"), "visa")
        assert failed.status == "failed"
        is_cured = True
        result = await (await served.client.redrive(failed.run_id)).result()
        assert (result.status, result.text) == ("completed", "visa it is")


async def test_a_run_redriven_by_another_process_is_noticed() -> None:
    is_cured = False

    def take(turn: Turn) -> Answer:
        if not is_cured:
            raise RuntimeError("not yet")
        return Answer("at last")

    async with serve(a_team(agents=[an_agent("a", take, max_attempts=1)])) as served:
        failed = await served.send("hello")
        is_cured = True
        new_run_id = "f" * 32
        await served.journal.redrive(failed.run_id, new_run_id=new_run_id, by="elsewhere")

        async def has_ended() -> bool:
            return (await served.journal.result(new_run_id)).has_ended

        await until(has_ended)
        assert (await served.journal.result(new_run_id)).text == "at last"
