"""SIGTERM in the middle of work: what is nearly done is done, the rest is handed back and costs nothing."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from baton import Answer, Client, Settings, Team
from baton.broker.memory import MemoryBroker
from baton.journal.records import Claim, ClaimCommand, PollCommand
from baton.journal.sqlite.journal import SqliteJournal
from baton.service import Service
from baton.testing import scripted_agent
from baton.testing.crash_process import environment
from tests.integration.crash_team import open_ledger
from tests.integration.test_crash import TARGET
from tests.support.waiting import until

pytestmark = pytest.mark.crash

GRACE_S = 3.0
EXIT_S = GRACE_S + 5


@contextmanager
def baton_run(journal: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """Serve the team by the command that users have."""
    command = [sys.executable, "-c", "from baton.cli.app import main; main()", "run", TARGET]
    with subprocess.Popen(command, env=environment(journal, environ)) as process:
        try:
            yield process
        finally:
            process.kill()


def charges(ledger_file: Path) -> int:
    with closing(open_ledger(ledger_file)) as ledger:
        return int(ledger.execute("SELECT count(*) FROM calls WHERE key = 'charge'").fetchone()[0])


async def test_sigterm_lets_short_hops_finish_and_hands_back_long_ones(tmp_path: Path) -> None:
    journal, ledger = tmp_path / "journal.db", tmp_path / "ledger.db"
    environ = {"CRASH_LEDGER": str(ledger), "BATON_GRACE_S": str(GRACE_S), "BATON_LEASE_S": "60"}
    clock = asyncio.get_running_loop()
    async with Client.from_env(environment(journal, environ)) as client:
        short, long = await client.send("gate short"), await client.send("gate long")
        with baton_run(journal, **environ) as first:
            await until(lambda: charges(ledger) == 2, timeout_s=20)
            first.terminate()
            began = clock.time()
            (tmp_path / "gate short").touch()
            assert await asyncio.to_thread(first.wait, EXIT_S) == 0
            assert clock.time() - began >= GRACE_S - 0.1
        assert (await short.result(timeout_s=0)).status == "completed"
        held = (await client.journal.hops(long.run_id))[-1]
        assert (held.status, held.attempt) == ("pending", 0)

        (tmp_path / "gate long").touch()
        with baton_run(journal, **environ) as second:
            result = await long.result(timeout_s=20)
            second.terminate()
            assert await asyncio.to_thread(second.wait, EXIT_S) == 0
        hops = await client.journal.hops(long.run_id)
        events = [event.type for event in await client.journal.events(long.run_id)]
    assert result.status == "completed"
    assert [hop.attempt for hop in hops] == [1, 1, 1]
    assert "handed_back" in events
    assert charges(ledger) == 2, "the recorded step ran again"


async def stopped_once(asked: asyncio.Event, journal: SqliteJournal, *, sends: bool) -> list[tuple[str, int]]:
    """Serve a run until `asked` is set, stop at once, and return status and attempts of its hops."""
    environ = {"BATON_JOURNAL_URL": f"sqlite:///{journal.path}"}
    request: dict[str, Any] = {"text": "hello", "to": "front", "idempotency_key": "one"}
    async with Client.from_env(environ) as client:
        if not sends:
            await client.send(**request)
        team = Team("one", agents=[scripted_agent("front", Answer("done"))])
        service = Service(team.whole(), journal, MemoryBroker(), Settings())
        await service.start()
        if sends:
            await service.client.send(**request)
        async with asyncio.timeout(5):
            await asked.wait()
        await service.stop(grace_s=0)
        run = await client.send(**request)
        return [(hop.status, hop.attempt) for hop in await client.journal.hops(run.run_id)]


async def test_a_stop_before_the_reply_to_a_claim_hands_the_hop_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    asked, claim = asyncio.Event(), journal.claim

    async def late(command: ClaimCommand) -> Claim | None:
        claimed = await claim(command)
        if claimed is not None and not asked.is_set():
            asked.set()
            await asyncio.Event().wait()
        return claimed

    monkeypatch.setattr(journal, "claim", late)
    assert (await stopped_once(asked, journal, sends=True))[-1] == ("pending", 0)


async def test_a_stop_before_the_reply_to_a_poll_hands_its_hops_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    asked, poll = asyncio.Event(), journal.poll

    async def watched(command: PollCommand) -> list[Claim]:
        asked.set()
        return await poll(command)

    monkeypatch.setattr(journal, "poll", watched)
    assert await stopped_once(asked, journal, sends=False) == [("pending", 0)]


@pytest.mark.parametrize("turns", range(6))
async def test_a_stop_that_meets_a_wake_up_still_stops(turns: int, tmp_path: Path) -> None:
    """The poller is told to end in the same moment in which it is told of work."""
    team = Team("one", agents=[scripted_agent("front", Answer("done"))])
    service = Service(team.whole(), SqliteJournal(tmp_path / "journal.db"), MemoryBroker(), Settings(poll_s=60))
    await service.start()
    assert (await (await service.client.send("hello", to="front")).result()).status == "completed"
    loop = asyncio.get_running_loop()
    for worker in service._workers:
        worker.wake()
    for _ in range(turns):
        turned = loop.create_future()
        loop.call_soon(turned.set_result, None)
        await turned
    async with asyncio.timeout(5):
        await service.stop(grace_s=0)
