"""Whole runs under races, restarts and loads: one outcome each, in order, and nothing stored twice."""

import asyncio
import contextlib
import sqlite3
import threading
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from baton import Agent, Answer, Ask, Client, Handoff, Settings, Turn
from baton.broker.contract import Outgoing
from baton.broker.memory import MemoryBroker
from baton.errors import ConfigError, JournalBusyError, RequestError, ResultTimeoutError
from baton.journal.records import Lease, Renewed
from baton.journal.sqlite.journal import SqliteJournal
from baton.service import serving
from baton.testing import scripted_agent, serve
from tests.support.teams import a_team, an_agent
from tests.support.waiting import until


async def test_a_cancel_that_races_the_finish_has_one_outcome_a_thousand_times() -> None:
    async with serve(a_team(agents=[scripted_agent("a", Answer("done"))], classifier=None)) as served:
        runs = []

        async def race(number: int) -> None:
            run = await served.start(f"hello {number}", to="a")
            for _ in range(number % 7):
                await asyncio.gather(*(served.journal.status(run.run_id) for _ in range(number % 3)))
            await run.cancel()
            runs.append((run.run_id, (await run.result()).status))

        await asyncio.gather(*(race(number) for number in range(1_000)))
        counts = Counter(status for _, status in runs)
        assert counts.keys() <= {"completed", "cancelled"}
        assert counts.total() == 1_000
        for run_id, status in runs:
            ends = [
                event.type for event in await served.journal.events(run_id) if event.type in ("answer", "cancelled")
            ]
            assert ends == ["answer" if status == "completed" else "cancelled"]
            assert (await served.journal.result(run_id)).status == status


async def test_runs_of_one_conversation_are_served_in_order_and_those_of_others_beside_them() -> None:
    working: Counter[str] = Counter()
    most: Counter[str] = Counter()

    async def take(turn: Turn) -> Answer:
        name = turn.conversation_id
        working[name] += 1
        most[name] = max(most[name], working[name])
        await turn.step("look", lambda: 1)
        working[name] -= 1
        return Answer(f"re {turn.text}")

    async with serve(a_team(agents=[an_agent("a", take)])) as served:
        runs = [await served.start(f"text {n}", conversation_id=f"c{n % 3}") for n in range(30)]
        for run in runs:
            assert (await run.result()).status == "completed"
        for name in range(3):
            log = [message.text for message in await served.journal.history("default", f"c{name}")]
            texts = [f"text {n}" for n in range(name, 30, 3)]
            assert log == [said for text in texts for said in (text, f"re {text}")]
    assert set(most.values()) == {1}


async def test_the_same_key_is_one_run_however_often_it_is_sent() -> None:
    async with serve(a_team(agents=[scripted_agent("a", Answer("done"))])) as served:
        runs = await asyncio.gather(*(served.start("hello", idempotency_key="k1") for _ in range(20)))
        assert len({run.run_id for run in runs}) == 1
        assert sorted(run.is_new for run in runs) == [False] * 19 + [True]
        assert (await runs[-1].result()).text == "done"


async def test_a_restart_with_the_same_journal_goes_on_where_it_stopped(tmp_path: Path) -> None:
    gate, calls = asyncio.Event(), []
    path = tmp_path / "journal.db"

    async def take(turn: Turn) -> Any:
        await turn.step("look", calls.append, turn.text)
        if turn.text == "long":
            await gate.wait()
        return Ask("which?") if turn.text == "ask" and turn.reply is None else Answer(f"done {turn.reply}")

    team = a_team(agents=[an_agent("a", take)])
    async with serve(team, journal=path, grace_s=0) as served:
        asked = await served.send("ask")
        long = await served.start("long")
        await until(lambda: "long" in calls)
    gate.set()
    async with serve(team, journal=path) as served:
        assert (await served.client.result(long.run_id)).text == "done None"
        assert (await served.reply(asked, "this")).text == "done this"
        hop = (await served.journal.hops(long.run_id))[1]
        assert (hop.status, hop.attempt) == ("done", 1)
    assert sorted(calls) == ["ask", "ask", "long"]


async def test_work_that_is_finished_within_the_grace_period_is_not_done_again(tmp_path: Path) -> None:
    started, gate = asyncio.Event(), asyncio.Event()

    async def take(turn: Turn) -> Answer:
        started.set()
        await gate.wait()
        return Answer("done")

    team = a_team(agents=[an_agent("a", take)])
    async with contextlib.AsyncExitStack() as stack:
        served = await stack.enter_async_context(serve(team, journal=tmp_path / "journal.db", grace_s=20))
        run = await served.start("hello")
        await started.wait()
        asyncio.get_running_loop().call_later(0.05, gate.set)
        await stack.aclose()
    journal = SqliteJournal(tmp_path / "journal.db")
    await journal.start(serves=False)
    assert (await journal.result(run.run_id)).text == "done"
    await journal.close()


async def test_a_second_serving_process_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    team, path = a_team(agents=[scripted_agent("a", Answer("done"))]), tmp_path / "journal.db"
    async with serve(team, journal=path) as served:
        with pytest.raises(JournalBusyError, match="already serves the journal"):
            async with serve(team, journal=path):
                pytest.fail("two processes serve one journal")
        assert (await served.send("hello")).text == "done"
    async with serve(team, journal=path) as served:
        assert (await served.send("hello")).text == "done"


async def test_another_teams_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    desk = a_team(agents=[scripted_agent("a", Answer("done"))])
    shop = a_team(agents=[scripted_agent("a", Answer("done"))])
    shop.name = "shop"
    async with serve(desk, journal=path):
        pass
    with pytest.raises(ConfigError, match="belongs to team 'desk', this process to team 'shop'"):
        async with serve(shop, journal=path):
            pytest.fail("served another team's journal")


async def test_a_client_in_another_process_sends_through_the_journal(tmp_path: Path) -> None:
    def take(turn: Turn) -> Any:
        return Answer(f"got {turn.reply}") if turn.reply else Ask("which?")

    path = tmp_path / "journal.db"
    async with serve(a_team(agents=[an_agent("a", take)]), journal=path) as served:
        await served.send("warm up")
        async with Client.from_env({"BATON_JOURNAL_URL": f"sqlite:///{path}"}) as client:
            run = await client.send("hello")
            assert (await run.result()).status == "waiting"
            await run.reply("this")
            assert (await run.result()).text == "got this"
            assert [event.type async for event in run.events()][-1] == "answer"


async def test_a_history_of_n_messages_over_h_hops_stores_n_messages(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"

    def relay(turn: Turn) -> Any:
        to = "b" if turn.trail[-1].to == "a" else "a"
        return Answer("done") if turn.seq >= 8 else Handoff(to, facts={f"n{turn.seq}": turn.run_id})

    one, other = an_agent("a", relay), an_agent("b", relay)
    async with serve(a_team(one >> other, other >> one), journal=path) as served:
        for n in range(10):
            result = await served.send(f"message {n} " + "x" * 4_000, conversation_id="c1")
            assert len(result.trail) == 9
    with contextlib.closing(sqlite3.connect(path)) as rows:
        assert rows.execute("SELECT count(*) FROM messages").fetchone() == (20,)
        assert rows.execute("SELECT count(*) FROM hops").fetchone() == (90,)
        assert rows.execute("SELECT max(length(head)) FROM hops").fetchone()[0] < 4_000


async def test_plain_functions_may_be_turns_and_steps() -> None:
    threads = set()
    plain = Agent("a", "Plain")

    def look(n: int) -> int:
        threads.add(threading.current_thread())
        return n + 1

    @plain.turn
    def take(turn: Turn) -> Answer:
        threads.add(threading.current_thread())
        return Answer(f"{look(1)} {turn.text}")

    async def steps(turn: Turn) -> Answer:
        return Answer(str(await turn.step("look", look, 41)))

    async with serve(a_team(agents=[plain, an_agent("b", steps)])) as served:
        assert (await served.send("hello")).text == "2 hello"
        assert (await served.send("hello", to="b")).text == "42"
    assert threading.main_thread() not in threads


async def test_resources_are_opened_once_and_closed_at_the_end() -> None:
    seen: list[str] = []
    agent = an_agent("a", lambda turn: Answer(turn.resources["name"]))

    @agent.resources
    @contextlib.asynccontextmanager
    async def bank() -> AsyncIterator[dict[str, str]]:
        seen.append("opened")
        yield {"name": "bank"}
        seen.append("closed")

    async with serve(a_team(agents=[agent])) as served:
        for _ in range(3):
            assert (await served.send("hello")).text == "bank"
        assert seen == ["opened"]
    assert seen == ["opened", "closed"]


async def test_progress_is_seen_by_those_who_watch() -> None:
    async def take(turn: Turn) -> Answer:
        await turn.emit({"percent": 50})
        return Answer("done")

    async with serve(a_team(agents=[an_agent("a", take)])) as served:
        run = await served.start("hello")
        events = [(event.type, event.data) async for event in run.events()]
        assert ("progress", {"agent": "a", "progress": {"percent": 50}}) in events
        assert [event for event, _ in events][-1] == "answer"


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"text": ""}, "text"),
        ({"text": "x" * 2_097_152}, "text"),
        ({"text": "a\0"}, "text"),
        ({"text": "\ud800"}, "text"),
        ({"facts": 5}, "facts"),
        ({"facts": ["a"]}, "facts"),
        ({"facts": {"n": object()}}, "facts"),
        ({"to": 7}, "to"),
        ({"deadline_s": -1}, "deadline_s"),
        ({"max_hops": 0}, "max_hops"),
        ({"conversation_id": ""}, "conversation_id"),
        ({"idempotency_key": "\ud800"}, "idempotency_key"),
        ({"idempotency_key": "k" * 256}, "idempotency_key"),
        ({"batch": ""}, "batch"),
    ],
)
async def test_a_bad_request_is_refused_and_nothing_is_recorded(given: dict[str, Any], field: str) -> None:
    async with serve(a_team(agents=[scripted_agent("a", Answer("done"))])) as served:
        with pytest.raises(RequestError) as caught:
            await served.start(**{"text": "hello", **given})
        assert caught.value.field == field
        assert (await served.send("hello")).status == "completed"
        assert len(await served.journal.agents()) == 1


async def test_a_result_that_takes_too_long_is_told_and_the_run_goes_on() -> None:
    gate = asyncio.Event()

    async def take(turn: Turn) -> Answer:
        await gate.wait()
        return Answer("done")

    async with serve(a_team(agents=[an_agent("a", take)]), lease_s=Settings().lease_s) as served:
        run = await served.start("hello")
        with pytest.raises(ResultTimeoutError, match="did not end within 0.05 s; it goes on"):
            await run.result(timeout_s=0.05)
        waiters = [asyncio.create_task(run.result()) for _ in range(3)]
        gate.set()
        assert {(await waiter).text for waiter in waiters} == {"done"}


class CountingJournal(SqliteJournal):
    """Counts how often leases were renewed, and how often somebody looked for other processes' writes."""

    renewals = 0
    looks = 0

    async def renew(self, leases: Sequence[Lease], lease_s: float) -> Renewed:
        renewed = await super().renew(leases, lease_s)
        self.renewals += 1
        return renewed

    async def changed(self) -> bool:
        self.looks += 1
        return await super().changed()


class SlowBroker(MemoryBroker):
    """Takes a message for an agent only once the leases of its sender were renewed twice more."""

    def __init__(self, journal: CountingJournal) -> None:
        super().__init__()
        self._journal = journal

    async def publish(self, message: Outgoing, *, timeout_s: float = 5.0) -> None:
        if message.agent != "router":
            wanted = self._journal.renewals + 2
            await until(lambda: self._journal.renewals >= wanted)
        await super().publish(message, timeout_s=timeout_s)


async def test_a_renewal_does_not_break_off_the_publishing_that_follows_a_finish(tmp_path: Path) -> None:
    """The poll, which would find the hop in the end, looks once a minute."""
    journal = CountingJournal(tmp_path / "journal.db")
    settings = Settings(lease_s=0.5, poll_s=60, grace_s=0)
    team = a_team(agents=[scripted_agent("a", Answer("done"))])
    async with serving(team, settings, journal=journal, broker=SlowBroker(journal)) as service:
        await until(lambda: journal.looks >= 2)  # the first one takes the start for a write, and has all polled
        run = await service.client.send("hello")
        assert (await run.result(timeout_s=10)).text == "done"


async def test_of_a_tenant_so_many_runs_are_under_way_as_may_be_and_all_end() -> None:
    working: Counter[str] = Counter()

    async def take(turn: Turn) -> Answer:
        working["now"] += 1
        working["most"] = max(working["most"], working["now"])
        await turn.step("look", lambda: 1)
        working["now"] -= 1
        return Answer("done")

    async with serve(a_team(agents=[an_agent("a", take)]), tenant_running=2) as served:
        runs = [await served.start(f"text {number}") for number in range(20)]
        assert {(await run.result(timeout_s=20)).status for run in runs} == {"completed"}
        waited = [event.type for event in await served.journal.events(runs[-1].run_id)]
    assert waited[:3] == ["accepted", "queued", "admitted"]
    assert working["most"] <= 2
