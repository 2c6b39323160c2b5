"""A team served inside a test: the real loop, the real journal, nothing to install.

In: a team. Out: `send`, `reply` and the journal to look into.
"""

import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from baton.broker.memory import MemoryBroker
from baton.client import Run
from baton.config import Settings
from baton.journal.records import Replied
from baton.journal.sqlite.journal import SqliteJournal
from baton.request import Result
from baton.service import Service, serving
from baton.team import Team
from baton.telemetry.record import SpanRecord
from baton.telemetry.telling import Sampler, always
from baton.testing.tracing import collecting

if TYPE_CHECKING:
    from opentelemetry.metrics import Meter


class Served:
    """A team that is being served."""

    def __init__(self, service: Service, journal: SqliteJournal, *, spans: list[SpanRecord]) -> None:
        self.service = service
        self.spans = spans
        """What was traced so far; whole once the block is left."""
        self.client = service.client
        self.journal = journal

    async def start(self, text: str, **request: Any) -> Run:
        """Send a request and return its run without waiting. Takes what `Client.send` takes."""
        return await self.client.send(text, **request)

    async def send(self, text: str, *, timeout_s: float = 20.0, **request: Any) -> Result:
        """Send a request and return how it ended, or what it waits for."""
        return await (await self.start(text, **request)).result(timeout_s=timeout_s)

    async def reply(self, to: Result, text: str | None = None, *, timeout_s: float = 20.0, **answer: Any) -> Result:
        """Answer what a result waits for, and return how the run then stands."""
        replied: Replied = await self.client.reply(to.run_id, text, **answer)
        return await self.client.result(replied.run_id, timeout_s=timeout_s)


@contextlib.asynccontextmanager
async def serve(
    team: Team,
    *,
    journal: str | Path | None = None,
    sampler: Sampler = always,
    meter: "Meter | None" = None,
    **settings: Any,
) -> AsyncIterator[Served]:
    """Serve `team` for as long as the block runs.

    Args:
        team: Whose agents.
        journal: A file to use; None: a new one that is deleted in the end.
        sampler: Which runs are traced, by their trace ids.
        meter: Makes the instruments that are counted on; None: nothing is.
        **settings: Fields of `Settings`; retries come fast unless told otherwise.

    Raises:
        JournalError: The file cannot be served.
    """
    defaults: dict[str, Any] = {"poll_s": 0.05, "retry_base_s": 0.02, "grace_s": 1.0}
    with tempfile.TemporaryDirectory(prefix="baton-", ignore_cleanup_errors=True) as scratch:
        store = SqliteJournal(journal or Path(scratch) / "journal.db")
        chosen = Settings(**{**defaults, **settings})
        spans: list[SpanRecord] = []
        output = replace(collecting(spans, sampler), meter=meter)
        async with serving(team, chosen, journal=store, broker=MemoryBroker(), output=output) as service:
            yield Served(service, store, spans=spans)
