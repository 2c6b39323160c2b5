"""The outside world of a fault test: what steps did there, counted where no journal can tidy it up.

In: calls from services. Out: rows for the oracle, in the schema of the journal. An effect is unique on its key;
a call also notes whether the journal had the step's record before it began, which would make it a repetition. (One
that had begun when its process was stopped may end much later: then the key makes it harmless.)
"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.support.waiting import until

TABLES = """
CREATE TABLE ledger_calls (
    run_id text NOT NULL, seq int NOT NULL, place int NOT NULL, key text NOT NULL, pid int NOT NULL,
    was_recorded boolean NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE TABLE ledger_effects (
    idempotency_key text PRIMARY KEY, run_id text NOT NULL, place int NOT NULL, key text NOT NULL,
    tries int NOT NULL DEFAULT 1
);
"""
_CALL = """
INSERT INTO ledger_calls (run_id, seq, place, key, pid, was_recorded) VALUES ($1, $2, $3, $4, $5, EXISTS (
    SELECT 1 FROM steps WHERE run_id = $1 AND seq = $2 AND key = $4 AND status = 'done' AND ended_at < $6))
"""
_EFFECT = """
INSERT INTO ledger_effects AS e (idempotency_key, run_id, place, key) VALUES ($1, $2, $3, $4)
ON CONFLICT (idempotency_key) DO UPDATE SET tries = e.tries + 1
"""
PATIENCE_S = 30.0
"""How long a call waits for a database that is away, in seconds."""


class Ledger:
    """What an agent's steps call."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def look(self, run_id: str, seq: int, place: int) -> str:
        """Note a call without an effect."""
        await self._write((_CALL, run_id, seq, place, "look", os.getpid(), time.time()))
        return f"looked at {place}"

    async def audit(self, run_id: str, seq: int, place: int) -> str:
        """Note a call that only the newer version does."""
        await self._write((_CALL, run_id, seq, place, "audit", os.getpid(), time.time()))
        return f"audited {place}"

    async def pay(self, run_id: str, seq: int, place: int, *, idempotency_key: str) -> str:
        """Note a call with an effect, once per key."""
        call = (_CALL, run_id, seq, place, "pay", os.getpid(), time.time())
        await self._write(call, (_EFFECT, idempotency_key, run_id, place, "pay"))
        return f"paid {place}"

    async def notify(self, run_id: str, seq: int, place: int) -> str:
        """Note a call whose effect nothing makes unique."""
        await self._write((_CALL, run_id, seq, place, "notify", os.getpid(), time.time()))
        return f"notified of {place}"

    async def _write(self, *statements: tuple[object, ...]) -> None:
        """Run statements as one transaction, again while the database is away."""

        async def is_written() -> bool:
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    for sql, *values in statements:
                        await connection.execute(sql, *values)
            except (
                OSError,
                asyncpg.PostgresConnectionError,
                asyncpg.InterfaceError,
                asyncpg.OperatorInterventionError,
            ):
                return False
            return True

        await until(is_written, timeout_s=PATIENCE_S, what="the ledger is reached")


@asynccontextmanager
async def open_ledger() -> AsyncIterator[Ledger]:
    """Give the ledger that `FAULTS_LEDGER` names."""
    async with asyncpg.create_pool(os.environ["FAULTS_LEDGER"], min_size=1, max_size=4) as pool:
        yield Ledger(pool)
