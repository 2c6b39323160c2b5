"""A lease by the clock of who has it: it begins no later than the journal's, whenever its holder learns of it."""

import asyncio
import time
from pathlib import Path

import pytest

from baton.hop.leases import Leases
from baton.hop.steps import LeaseLost
from baton.journal.records import Lease
from baton.journal.sqlite.journal import SqliteJournal

LEASE_S = 30.0


@pytest.mark.parametrize(("age_s", "may_start"), [(0.0, True), (0.6 * LEASE_S, True), (0.7 * LEASE_S, False)])
async def test_a_lease_counts_from_when_it_was_asked_for(age_s: float, may_start: bool, tmp_path: Path) -> None:
    """A process that stood still between its claim and the answer must not begin what another may have done."""
    leases, task = Leases(SqliteJournal(tmp_path / "journal.db"), LEASE_S), asyncio.current_task()
    assert task is not None
    with leases.hold(Lease("run", 1, 1), task, None, asked_at=time.monotonic() - age_s) as held:
        if may_start:
            held.may_start_step()
        else:
            with pytest.raises(LeaseLost):
                held.may_start_step()


@pytest.mark.parametrize("is_finishing", [False, True])
async def test_a_renewal_cancels_work_whose_lease_is_gone_but_not_the_publishing_that_follows_a_finish(
    is_finishing: bool, tmp_path: Path
) -> None:
    journal = SqliteJournal(tmp_path / "journal.db")
    await journal.start(serves=True)
    leases, published = Leases(journal, LEASE_S), asyncio.Event()
    task = asyncio.create_task(published.wait())
    with leases.hold(Lease("run", 1, 1), task, None, asked_at=time.monotonic()) as held:
        held.is_finishing = is_finishing
        await leases.renew()
    assert bool(task.cancelling()) is not is_finishing
    assert held.is_lost is not is_finishing
    published.set()
    await asyncio.wait([task])
    await journal.close()
