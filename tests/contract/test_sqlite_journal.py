"""The embedded journal keeps the contract."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.contract.journal_contract import JournalContract
from tests.support.sqlite import SqliteHarness


@pytest.fixture
async def harness(tmp_path: Path) -> AsyncIterator[SqliteHarness]:
    harness = SqliteHarness(tmp_path / "journal.db")
    await harness.start()
    yield harness
    await harness.close()


class TestSqliteJournal(JournalContract):
    """The contract over one SQLite file."""
