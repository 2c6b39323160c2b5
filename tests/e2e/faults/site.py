"""Where a fault test takes place: one vhost, one schema, one folder.

In: URLs of an administrator. Out: topology, journal and ledger, as an operator would have made them.
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from baton.topology.address import address_of
from baton.topology.differences import differences
from baton.topology.management import connected
from baton.topology.wanted import wanted
from tests.e2e.faults import ledger
from tests.support.pgjournal import make_schema
from tests.support.waiting import until

LEASE_S = 2.0
POLL_S = 0.3
SETTINGS = {
    "BATON_LEASE_S": str(LEASE_S),
    "BATON_POLL_S": str(POLL_S),
    "BATON_RETRY_BASE_S": "0.2",
    "BATON_GRACE_S": "2",
    "BATON_LOG_LEVEL": "WARNING",
    "BATON_ENCODER": "none",
}
"""Settings under which a fault is over in seconds, and services start in one."""
TABLES = (
    *("runs", "hops", "steps", "waits", "accepted", "redeliveries", "conversations", "messages", "events"),
    *("deliveries", "addresses", "quarantine", "ledger_calls", "ledger_effects"),
)
"""What runs leave behind."""
MARGIN_S = 30.0
"""What recovery may take beside a lease and a poll, in seconds."""


@dataclass(frozen=True)
class Site:
    """The servers' side of a fault test; `prepare` makes what services need there."""

    broker_url: str
    """`amqp://…/vhost`, of an administrator, past any proxy."""
    management_url: str
    journal_url: str
    """`postgresql://…?search_path=schema`, past any proxy. The ledger is in the same schema."""
    folder: Path
    """For logs and gates; must exist."""
    lease_s: float = LEASE_S
    poll_s: float = POLL_S

    @property
    def environ(self) -> dict[str, str]:
        """What a service needs to work here."""
        own = {
            "BATON_BROKER_URL": self.broker_url,
            "BATON_JOURNAL_URL": self.journal_url,
            "BATON_LEASE_S": f"{self.lease_s:g}",
            "BATON_POLL_S": f"{self.poll_s:g}",
            "FAULTS_LEDGER": self.journal_url,
            "FAULTS_FOLDER": str(self.folder),
        }
        return SETTINGS | own

    @property
    def deadline_s(self) -> float:
        """How long everything may take to be consistent again after the last fault, in seconds."""
        return self.lease_s + self.poll_s + MARGIN_S

    async def prepare(self, agents: Collection[str]) -> None:
        """Make the journal, the ledger, and queues for these agents."""
        await make_schema(self.journal_url)
        await self.execute(ledger.TABLES)
        await self.apply_topology(agents)

    async def clear(self) -> None:
        """Forget all runs; what services still work on is fenced."""

        async def is_clear() -> bool:
            try:
                await self.execute(";".join(f"DELETE FROM {table}" for table in TABLES))
            except asyncpg.DeadlockDetectedError:
                return False
            return True

        await until(is_clear, timeout_s=MARGIN_S)

    async def execute(self, sql: str) -> None:
        """Run statements in the journal's schema."""
        connection = await asyncpg.connect(self.journal_url)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def apply_topology(self, agents: Collection[str], *, consumer_timeout_s: float = 1800.0) -> None:
        """Do what `baton topology apply` does for these agents; harmless where it is done."""
        async with connected(address_of(self.broker_url, self.management_url)) as management:
            version = await management.version()
            needed = wanted(agents, consumer_timeout_s=consumer_timeout_s, version=version)
            for one in differences(needed, await management.seen()):
                await management.put(one.entity)
