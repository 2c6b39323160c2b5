"""The PostgreSQL journal keeps the contract."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.journal_contract import JournalContract
from tests.support.pgjournal import PostgresHarness


@pytest.fixture
async def harness(postgres_url: str) -> AsyncIterator[PostgresHarness]:
    harness = PostgresHarness(postgres_url)
    await harness.start()
    yield harness
    await harness.close()


class TestPostgresJournal(JournalContract):
    """The contract over one PostgreSQL schema."""


@pytest.mark.slow
class TestPostgresJournalAlone(JournalContract):
    """The same, where every command needs a decision and is carried out in a transaction of its own."""

    test_writes_at_the_same_time_share_a_commit = None
    test_a_conflict_in_a_batch_harms_only_itself = None

    @pytest.fixture
    async def harness(self, postgres_url: str) -> AsyncIterator[PostgresHarness]:
        harness = PostgresHarness(postgres_url, goes_alone=True)
        await harness.start()
        yield harness
        await harness.close()
