"""The embedded journal under whatever two workers and bad luck can do to it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.contract.journal_machine import JournalMachine
from tests.support.sqlite import SqliteHarness


class SqliteJournalMachine(JournalMachine):
    """The machine on a file of its own for each example."""

    @staticmethod
    def make_harness() -> SqliteHarness:
        return SqliteHarness(Path(tempfile.mkdtemp(dir=SCRATCH)) / "journal.db")


SCRATCH: Path | None = None


@pytest.fixture(autouse=True, scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    global SCRATCH
    SCRATCH = tmp_path_factory.mktemp("machine")
    yield
    shutil.rmtree(SCRATCH)


class TestSqliteJournalMachine(SqliteJournalMachine.TestCase):  # type: ignore[name-defined, misc]
    """Nothing is lost, doubled or out of order."""

    settings = settings(max_examples=settings().max_examples // 2, stateful_step_count=40)
