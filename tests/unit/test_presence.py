"""A process that says that it serves, until it leaves."""

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from baton import presence
from baton.errors import JournalUnavailableError
from baton.presence import Presence
from tests.support.waiting import until


class Told:
    """What a journal is told; it answers what is not in `pending`, and the rest once `may_answer` is set."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str, list[str]]] = []
        self.pending: set[str] = set()
        self.may_answer = asyncio.Event()
        self.failures = 0

    async def beat(self, owner: str, agents: Collection[str]) -> None:
        if self.failures:
            self.failures -= 1
            raise JournalUnavailableError("away")
        await self._write("beat", owner, agents)

    async def leave(self, owner: str, agents: Collection[str]) -> None:
        await self._write("leave", owner, agents)

    async def _write(self, what: str, owner: str, agents: Collection[str]) -> None:
        if what in self.pending:
            await self.may_answer.wait()
        self.said.append((what, owner, sorted(agents)))


def saying(journal: Any) -> Presence:
    return Presence(journal, "host:1", ["b", "a"])


async def test_it_says_again_and_again_also_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "BEAT_S", 0.0)
    journal = Told()
    journal.failures = 3
    keeping = asyncio.create_task(saying(journal).keep())
    await until(lambda: journal.said[:2] == [("beat", "host:1", ["a", "b"])] * 2)
    keeping.cancel()


async def test_after_leaving_nothing_brings_it_back() -> None:
    journal = Told()
    here = saying(journal)
    journal.pending = {"beat"}
    late = asyncio.create_task(here.say())
    leaving = asyncio.create_task(here.leave())
    await asyncio.wait([late, leaving], timeout=0)
    journal.may_answer.set()
    await asyncio.gather(late, leaving)
    await here.say()
    assert [what for what, _, _ in journal.said] == ["beat", "leave"]


async def test_a_journal_that_does_not_answer_holds_no_stop_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "LEAVE_S", 0.01)
    journal = Told()
    journal.pending = {"leave"}
    await saying(journal).leave()
    assert journal.said == []
