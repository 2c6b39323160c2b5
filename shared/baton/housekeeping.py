"""What a router does for the whole team beside routing: end what is overdue, admit what waited for room.

In: a journal, looked at again and again. Out: ended runs, and hops that may begin.
"""

import asyncio
import contextlib
import logging
from collections.abc import Iterator

from baton.broker.contract import Broker, Hint
from baton.errors import JournalError
from baton.hop.publishing import publish
from baton.journal.contract import Journal
from baton.telemetry.telling import Telemetry

logger = logging.getLogger("baton")

ADMIT_S = 0.05
"""Least time between two looks for runs to admit, in seconds."""


async def keep_house(journal: Journal, broker: Broker, telemetry: Telemetry, *, every_s: float) -> None:
    """End what is past its deadline, every so many seconds, until cancelled."""
    while True:
        await asyncio.sleep(every_s)
        with told("housekeeping"):
            found = await journal.sweep()
            telemetry.ended(found.roots)
            for hop in found.publish:
                await publish(broker, hop, telemetry=telemetry)
            for run_id in found.ended:
                broker.hint(Hint(run_id, "ended"))


async def admit(journal: Journal, broker: Broker, telemetry: Telemetry, *, tenant_running: int, every_s: float) -> None:
    """Let runs begin that waited for room, as soon as a run has ended, until cancelled."""
    has_ended = asyncio.Event()
    broker.listen(lambda hint: has_ended.set())
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every_s):
                await has_ended.wait()
        has_ended.clear()
        with told("admitting runs"):
            for hop in await journal.admit(tenant_running):
                await publish(broker, hop, telemetry=telemetry)
        await asyncio.sleep(ADMIT_S)


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Log what goes wrong in a chore that is done again."""
    try:
        yield
    except JournalError as error:
        logger.warning("%s failed: %s", what, error)
    except Exception:  # whatever it was, deadlines and other processes' requests depend on the next time
        logger.exception("%s failed", what)
