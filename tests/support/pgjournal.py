"""The PostgreSQL journal under the contract tests, and schemas for them."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from importlib import resources
from typing import Any

import asyncpg

from baton.journal.contract import Journal
from baton.journal.postgres import schema
from baton.journal.postgres.journal import PostgresJournal
from tests.support.journals import Rows
from tests.support.postgres import with_schema

_TIMES = {
    "runs": ("deadline_at", "accepted_at", "ended_at"),
    "hops": ("due_at", "pending_since", "started_at", "ended_at"),
    "waits": ("deadline_at", "created_at", "answered_at"),
    "accepted": ("accepted_at",),
    "redeliveries": ("accepted_at",),
    "conversations": ("active_at",),
    "messages": ("at",),
    "events": ("at",),
    "deliveries": ("due_at",),
    "agents": ("registered_at",),
    "replicas": ("seen_at",),
    "labels": ("labelled_at",),
    "quarantine": ("at",),
}


async def make_schema(url: str) -> None:
    """Do what `baton journal migrate` does for a new schema, in a tenth of the time."""
    name = schema.schema_of(url)
    connection = await asyncpg.connect(with_schema(url, name))
    try:
        await connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{name}"')
        for part in ("v0001_journal.sql", "v0001_functions.sql"):
            await connection.execute(resources.files(f"{schema.PACKAGE}.versions").joinpath(part).read_text("utf-8"))
        await connection.execute(
            "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY); "
            f"INSERT INTO alembic_version VALUES ('{schema.VERSION}')"
        )
    finally:
        await connection.close()


async def empty_schema(url: str) -> None:
    """Make a journal's schema as new, in a tenth of the time that it takes to make another."""
    connection = await asyncpg.connect(url)
    try:
        tables = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r' "
            "AND relname <> 'alembic_version'"
        )
        await connection.execute("; ".join(f"DELETE FROM {row['relname']}" for row in tables))
    finally:
        await connection.close()


async def drop_schema(url: str) -> None:
    """Delete the schema that `url` names."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(f'DROP SCHEMA IF EXISTS "{schema.schema_of(url)}" CASCADE')
    finally:
        await connection.close()


class PostgresHarness:
    """A `Harness` on a schema of PostgreSQL.

    Args:
        url: Names the schema, in which the journal is made.
        owns_schema: True: make another schema, and delete it in the end.
        is_made: True: the schema has a journal, which is emptied.
        goes_alone: True: every command is carried out in a transaction of its own, as one is that needs a decision.
    """

    has_one_process = False

    def __init__(self, url: str, *, owns_schema: bool = False, is_made: bool = False, goes_alone: bool = False) -> None:
        self._owns_schema = owns_schema
        self._is_made = is_made
        self._goes_alone = goes_alone
        self.url = with_schema(url, f"t_{secrets.token_hex(8)}") if owns_schema else url
        self.journal: Journal = PostgresJournal(self.url)
        self.loses_next_reply = False
        self._others: list[PostgresJournal] = []
        self._tables: dict[str, str] = {}
        self._aside: asyncpg.Connection | None = None
        self._aside_is_busy = asyncio.Lock()

    @property
    def commit_count(self) -> int:
        """Transactions of the serving handle so far."""
        assert isinstance(self.journal, PostgresJournal)
        return self.journal.writer.commit_count

    async def start(self) -> None:
        """Start to serve."""
        await (empty_schema(self.url) if self._is_made else make_schema(self.url))
        self._aside = await asyncpg.connect(self.url)
        await self._serve()
        found = await self.aside(
            "SELECT t.relname, string_agg(a.attname, ', ' ORDER BY k.place) AS key FROM pg_class t "
            "JOIN pg_index i ON i.indrelid = t.oid AND i.indisprimary "
            "CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, place) "
            "JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.number "
            "WHERE t.relnamespace = current_schema()::regnamespace AND t.relkind = 'r' "
            "AND t.relname <> 'alembic_version' GROUP BY t.relname"
        )
        self._tables = {row["relname"]: row["key"] for row in found}

    async def _serve(self) -> None:
        journal = await self._opened(serves=True)
        journal.writer.after_commit = self._after_commit
        self.journal = journal

    async def _opened(self, *, serves: bool) -> PostgresJournal:
        journal = PostgresJournal(self.url)
        await journal.start(serves=serves)
        if self._goes_alone:
            do = journal.writer.do

            async def alone(kind: Any, command: Any, *, is_plain: bool = True) -> Any:
                return await do(kind, command, is_plain=False)

            journal.writer.do = alone  # type: ignore[method-assign]
        return journal

    async def close(self) -> None:
        """Close every handle and delete the schema."""
        for journal in (*self._others, self.journal):
            await journal.close()
        if self._aside is not None:
            await self._aside.close()
        if self._owns_schema:
            await drop_schema(self.url)

    async def second(self) -> PostgresJournal:
        """See `Harness.second`."""
        journal = await self._opened(serves=False)
        self._others.append(journal)
        return journal

    async def restart(self) -> None:
        """See `Harness.restart`."""
        await self.journal.close()
        await self._serve()

    async def expire_lease(self, run_id: str, seq: int) -> None:
        """See `Harness.expire_lease`."""
        where = "run_id = $1 AND seq = $2 AND status = 'running'"
        sql = f"UPDATE hops SET due_at = due_at - 1e6 WHERE {where} RETURNING 1"
        assert len(await self.aside(sql, run_id, seq)) == 1

    async def pass_time(self, seconds: float) -> None:
        """See `Harness.pass_time`: everything that is stored becomes so much older."""
        parts = [
            f"t{number} AS (UPDATE {table} SET " + ", ".join(f"{name} = {name} - {seconds}" for name in columns) + ")"
            for number, (table, columns) in enumerate(_TIMES.items())
        ]
        await self.aside(f"WITH {', '.join(parts)} SELECT 1")

    def lose_next_commit_reply(self) -> None:
        """See `Harness.lose_next_commit_reply`."""
        self.loses_next_reply = True

    async def rows(self) -> Rows:
        """See `Harness.rows`."""
        return {name: await self.aside(f"SELECT * FROM {name} ORDER BY {key}") for name, key in self._tables.items()}

    @contextlib.asynccontextmanager
    async def locking(self, sql: str, *values: Any) -> AsyncIterator[None]:
        """Hold the locks that a statement takes for as long as the block runs."""
        connection = await asyncpg.connect(self.url)
        try:
            async with connection.transaction():
                await connection.execute(sql, *values)
                yield
        finally:
            await connection.close()

    async def reconnect(self) -> None:
        """Connect the test's own connection again."""
        assert self._aside is not None, "the harness is not started"
        self._aside.terminate()
        self._aside = await asyncpg.connect(self.url)

    async def aside(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Run a statement on a connection of the test's own."""
        assert self._aside is not None, "the harness is not started"
        async with self._aside_is_busy:
            return [dict(row) for row in await self._aside.fetch(sql, *values)]

    def _after_commit(self) -> None:
        if self.loses_next_reply:
            self.loses_next_reply = False
            raise ConnectionError("the reply to the commit was lost")
