"""The PostgreSQL journal under whatever two workers and bad luck can do to it."""

import pytest
from hypothesis import settings

from tests.contract.journal_machine import JournalMachine
from tests.support.pgjournal import PostgresHarness


class PostgresJournalMachine(JournalMachine):
    """The machine on a schema of its own for each example."""

    @staticmethod
    def make_harness() -> PostgresHarness:
        return PostgresHarness(URL, owns_schema=True)


URL = ""


@pytest.fixture(autouse=True)
def database(postgres_url: str) -> None:
    global URL
    URL = postgres_url


class TestPostgresJournalMachine(PostgresJournalMachine.TestCase):  # type: ignore[name-defined, misc]
    """Nothing is lost, doubled or out of order."""

    settings = settings(max_examples=settings().max_examples // 4, stateful_step_count=40)
