"""A disk that is full, or fails: nothing new is accepted, nothing accepted is lost, and it goes on."""

import asyncio
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from baton import Agent, Answer, Handoff, Team, Turn
from baton.errors import JournalUnavailableError
from baton.journal.views import RunFilter
from baton.testing import ScriptedClassifier, Served, serve
from tests.support.waiting import until

pytestmark = pytest.mark.crash

FILLER = "x" * 200_000


class Desk:
    """A team whose second agent waits until it is told to go on, and counts what it did."""

    def __init__(self) -> None:
        self.may_go_on = asyncio.Event()
        self.keys: list[str] = []
        front, back = Agent("front", "Hands on"), Agent("back", "Pays", entry=False)

        @front.turn
        async def begin(turn: Turn) -> Handoff:
            return Handoff(back, reason="it pays")

        @back.turn
        async def finish(turn: Turn) -> Answer:
            await turn.step("before", len, turn.text)
            await self.may_go_on.wait()
            await turn.step("pay", self.pay, effect="keyed")
            return Answer("paid")

        self.team = Team("disk", [front >> back], classifier=ScriptedClassifier(default="front"))

    async def pay(self, *, idempotency_key: str) -> str:
        self.keys.append(idempotency_key)
        return "paid"


async def pragma(served: Served, statement: str) -> int:
    """Ask the connection that writes: limits hold for a connection."""
    return int(await served.journal.writer.do(lambda tx: tx.one(f"PRAGMA {statement}")[0]))


@asynccontextmanager
async def full_disk(served: Served) -> AsyncIterator[None]:
    """Let the journal's file grow no more."""
    pages = await pragma(served, "page_count")
    await pragma(served, f"max_page_count = {pages}")
    try:
        yield
    finally:
        await pragma(served, "max_page_count = 1073741823")


@contextmanager
def failing_disk(journal: Path) -> Iterator[None]:
    """Let no file of this process grow past the size that the journal's log has now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (journal.with_name("journal.db-wal").stat().st_size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def fill(served: Served) -> int:
    """Send less and less until nothing at all is accepted, and return how many requests were."""
    for text in (FILLER, "x" * 2000, "x"):
        with pytest.raises(JournalUnavailableError, match="nothing was changed"):
            await send_for_ever(served, text)
    return len(await served.journal.runs(RunFilter(batch="late", limit=1000)))


async def send_for_ever(served: Served, text: str) -> None:
    while True:
        await served.start(text, to="front", batch="late")


async def until_it_waits_to_pay(served: Served, run_id: str) -> None:
    async def it_waits_to_pay() -> bool:
        return [step.key for step in await served.journal.steps(run_id)] == ["before"]

    await until(it_waits_to_pay, timeout_s=20)


async def test_a_full_disk_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    desk = Desk()
    async with serve(desk.team, journal=tmp_path / "journal.db") as served:
        early = [await served.start(f"early {number}") for number in range(8)]
        for run in early:
            await until_it_waits_to_pay(served, run.run_id)
        async with full_disk(served):
            accepted = await fill(served)
            desk.may_go_on.set()
            await until(lambda: len(desk.keys) >= 8, timeout_s=20)
            with pytest.raises(JournalUnavailableError):
                await served.start(FILLER)
        assert (await served.send("late")).text == "paid"
        for run in early:
            assert (await run.result(timeout_s=20)).status == "completed"
            assert [hop.attempt for hop in await served.journal.hops(run.run_id)] == [1, 1, 1]
        late = await served.journal.runs(RunFilter(batch="late", limit=1000))
        assert len(late) == accepted
        for one in late:
            assert (await served.client.result(one.run_id, timeout_s=20)).status == "completed"
        assert len(desk.keys) == len(set(desk.keys)) == 8 + accepted + 1
        assert await served.journal.check() == "ok"


async def test_a_write_that_fails_loses_nothing_that_was_accepted(tmp_path: Path) -> None:
    """Not refused by SQLite but by the file system, in the middle of a commit."""
    desk = Desk()
    journal = tmp_path / "journal.db"
    async with serve(desk.team, journal=journal) as served:
        run = await served.start("early")
        await until_it_waits_to_pay(served, run.run_id)
        with failing_disk(journal):
            with pytest.raises(JournalUnavailableError, match="nothing was changed"):
                await served.start(FILLER)
            desk.may_go_on.set()
            await until(lambda: desk.keys, timeout_s=20)
            with pytest.raises(JournalUnavailableError):
                await served.start("small")
        assert (await run.result(timeout_s=20)).status == "completed"
        assert (await served.send("late")).text == "paid"
        assert len(desk.keys) == len(set(desk.keys)) == 2
        assert await served.journal.check() == "ok"
