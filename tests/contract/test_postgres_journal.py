"""The PostgreSQL journal keeps the contract."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.contract.journal_contract import JournalContract
from tests.support.pgjournal import PostgresHarness, make_schema
from tests.support.servers.handles import PostgresServer


@pytest.fixture(scope="module")
def journal_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Give a journal's schema; each test finds it empty."""
    with postgres_server.schema() as url:
        asyncio.run(make_schema(url))
        yield url


@pytest.fixture
async def harness(journal_url: str) -> AsyncIterator[PostgresHarness]:
    harness = PostgresHarness(journal_url, is_made=True)
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
    async def harness(self, journal_url: str) -> AsyncIterator[PostgresHarness]:
        harness = PostgresHarness(journal_url, is_made=True, goes_alone=True)
        await harness.start()
        yield harness
        await harness.close()
