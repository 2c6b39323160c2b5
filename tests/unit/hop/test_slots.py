"""A worker's slots: what is logged of work that breaks off."""

import asyncio
import logging

import pytest

from baton.errors import JournalUnavailableError
from baton.hop.slots import Slots


@pytest.mark.parametrize(
    ("error", "has_traceback"), [(JournalUnavailableError("the journal is away"), False), (KeyError("card"), True)]
)
async def test_work_that_breaks_off_is_told_with_a_traceback_only_where_that_helps(
    error: Exception, has_traceback: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        raise error

    slots = Slots("cards", 1)
    with caplog.at_level(logging.ERROR, "baton"):
        slots.spawn(work())
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
        await slots.freed()
    [record] = caplog.records
    assert record.getMessage() == f"hop of cards broke off, its lease runs out and it is tried again: {error}"
    assert bool(record.exc_info) is has_traceback
