"""Runs as spans, from a journal that a test drives by hand."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from baton.telemetry.rebuilt import Rebuilt
from baton.telemetry.telling import Telemetry
from baton.telemetry.waterfall import Picture
from tests.support.journals import Hand
from tests.support.sqlite import SqliteHarness


@asynccontextmanager
async def a_hand(directory: Path) -> AsyncIterator[Hand]:
    """Give a worker's hand on a journal in a directory."""
    harness = SqliteHarness(directory / "journal.db")
    await harness.start()
    yield Hand(harness)
    await harness.close()


async def rebuilt(hand: Hand, run_id: str, *, now: float | None = None) -> Rebuilt:
    """Return a run as spans; what goes on ends `now`, in Unix seconds, or is left out."""
    return await Telemetry().read(hand.journal, run_id, now=now)


async def picture(hand: Hand, run_id: str, *, now: float) -> Picture:
    """Return a run as `baton trace` draws it at `now`, in Unix seconds."""
    seen = await rebuilt(hand, run_id, now=now)
    return Picture(await hand.journal.run(run_id), await hand.journal.hops(run_id), seen, now)
