"""A worker's slots: what is logged of work that breaks off, and that pieces of work know nothing of each other."""

import asyncio
import logging
from contextvars import ContextVar

import pytest

from baton.errors import JournalUnavailableError
from baton.hop.slots import Slots

of: ContextVar[str] = ContextVar("of", default="nobody")


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


async def test_work_begins_in_the_context_of_its_slots_and_not_of_whoever_publishes() -> None:
    of.set("the process")
    slots, seen = Slots("cards", 1), []

    async def work(name: str) -> None:
        seen.append(of.get())
        of.set(name)
        if name == "first":
            slots.offer(lambda: work("second"))
            slots.offer(lambda: work("third"))  # waits until a slot is free

    slots.offer(lambda: work("first"))
    of.set("the publisher")
    while len(seen) < 3:
        await slots.freed()
    assert seen == ["the process"] * 3
    assert of.get() == "the publisher"


async def test_what_breaks_off_is_logged_in_its_own_context(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        of.set("this hop")
        raise KeyError("card")

    found: list[str] = []
    slots = Slots("cards", 1)
    with caplog.filtering(lambda record: not found.append(of.get())), caplog.at_level(logging.ERROR, "baton"):
        slots.spawn(work())
        await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
        await slots.freed()
    assert found == ["this hop"]
