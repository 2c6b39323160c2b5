"""The SQLite journal under the contract tests."""

import sqlite3
from pathlib import Path
from typing import Any

from baton.journal.contract import Journal
from baton.journal.sqlite.journal import SqliteJournal
from tests.support.journals import Rows

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


class SqliteHarness:
    """A `Harness` on a file of its own."""

    has_one_process = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.journal: Journal = SqliteJournal(path)
        self.commit_count = 0
        self._others: list[SqliteJournal] = []
        self.loses_next_reply = False
        self._tables: list[str] = []
        self._aside: sqlite3.Connection

    async def start(self) -> None:
        """Start to serve."""
        journal = SqliteJournal(self.path)
        await journal.start(serves=True)
        _hurry(journal)
        journal.writer.after_commit = self._after_commit
        self.journal = journal
        if not self._tables:
            self._aside = sqlite3.connect(self.path, timeout=10, isolation_level=None)
            self._aside.row_factory = sqlite3.Row
            self._aside.execute("PRAGMA synchronous = OFF")
            found = self._aside.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
            )
            self._tables = [row[0] for row in found]

    async def close(self) -> None:
        """Close every handle."""
        for journal in (*self._others, self.journal):
            await journal.close()
        self._aside.close()

    async def second(self) -> Journal:
        """See `Harness.second`."""
        journal = SqliteJournal(self.path)
        await journal.start(serves=False)
        _hurry(journal)
        self._others.append(journal)
        return journal

    async def restart(self) -> None:
        """See `Harness.restart`."""
        await self.journal.close()
        await self.start()

    async def expire_lease(self, run_id: str, seq: int) -> None:
        """See `Harness.expire_lease`."""
        where = "run_id = ? AND seq = ? AND status = 'running'"
        assert self._run(f"UPDATE hops SET due_at = due_at - 1e6 WHERE {where}", run_id, seq) == 1

    async def pass_time(self, seconds: float) -> None:
        """See `Harness.pass_time`: everything that is stored becomes so much older."""
        self._run("BEGIN IMMEDIATE")
        for table, columns in _TIMES.items():
            self._run(f"UPDATE {table} SET " + ", ".join(f"{name} = {name} - {seconds}" for name in columns))
        self._run("COMMIT")

    def lose_next_commit_reply(self) -> None:
        """See `Harness.lose_next_commit_reply`."""
        self.loses_next_reply = True

    async def rows(self) -> Rows:
        """See `Harness.rows`."""
        return {name: [dict(row) for row in self._aside.execute(f"SELECT * FROM {name}")] for name in self._tables}

    def _after_commit(self) -> None:
        self.commit_count += 1
        if self.loses_next_reply:
            self.loses_next_reply = False
            raise ConnectionError("the reply to the commit was lost")

    def _run(self, sql: str, *values: Any) -> int:
        return self._aside.execute(sql, values).rowcount


def _hurry(journal: SqliteJournal) -> None:
    """Do not wait for the disk: no test of the contract cuts the power."""
    journal.writer._connection.execute("PRAGMA synchronous = OFF")
