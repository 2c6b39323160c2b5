"""What the contract suites share."""

import pytest

pytest.register_assert_rewrite("tests.contract.journal", "tests.contract.broker_contract", "tests.support.journals")

from tests.support.journals import Hand, Harness  # noqa: E402  # its asserts are rewritten from here on


@pytest.fixture
async def hand(harness: Harness) -> Hand:
    """A worker's hand on the journal under test."""
    return Hand(harness)


@pytest.fixture
async def other(harness: Harness) -> Hand:
    """Another process's hand on the same store."""
    return Hand(harness, "w2", await harness.second())
