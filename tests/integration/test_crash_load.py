"""Kills at any moment, under load, with many runs in flight: all of them end, once, and nothing is doubled."""

import random
import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from baton.testing.crash_child import Errand, Job
from baton.testing.crash_process import Child
from baton.testing.crash_report import RunStory, read_stories
from tests.integration.crash_team import open_ledger
from tests.integration.test_crash import ANSWERS, TARGET
from tests.support.waiting import until

pytestmark = pytest.mark.crash

WAIT_S = 60.0


def errand(text: str, number: int, *, review: str | None = None) -> Errand:
    """Return a request with the answers to all that its path asks for."""
    replies: list[str | dict[str, Any]] = [ANSWERS[word] for word in text.split() if word in ANSWERS]
    request = {"text": text, "idempotency_key": f"request-{number}", "batch": "load"}
    return Errand(request=request, replies=replies, review=review)


class Load:
    """Processes that do the same job on the same journal, one after the other."""

    def __init__(self, errands: Sequence[Errand], folder: Path, **environ: str) -> None:
        self.journal = folder / "journal.db"
        self.ledger_file = folder / "ledger.db"
        self._job = Job(target=TARGET, errands=list(errands), timeout_s=WAIT_S)
        self._folder = folder
        # Leases that outlast the test: what is done again is so because it was re-armed or handed back.
        self._environ = {"CRASH_LEDGER": str(self.ledger_file), "BATON_LEASE_S": "600", **environ}

    def start(self) -> Child:
        return Child(self._job, self.journal, folder=self._folder, environ=self._environ)

    def calls(self) -> int:
        with closing(open_ledger(self.ledger_file)) as ledger:
            return int(ledger.execute("SELECT count(*) FROM calls").fetchone()[0])

    def has_called(self, child: Child, calls: int) -> bool:
        """Whether so many steps were called; the process must be alive until then."""
        assert child.is_running, f"it ended early; it printed:\n{child.output}"
        return self.calls() >= calls

    def events(self) -> int:
        """How many events the journal holds."""
        if not self.journal.exists():
            return 0
        with closing(sqlite3.connect(f"file:{self.journal}?mode=ro", uri=True, timeout=30)) as reader:
            if not reader.execute("SELECT 1 FROM sqlite_master WHERE name = 'events'").fetchone():
                return 0
            return int(reader.execute("SELECT coalesce(sum(last_event), 0) FROM runs").fetchone()[0])

    def has_written(self, child: Child, events: int) -> bool:
        """Whether the journal holds so many events; the process must be alive until then."""
        assert child.is_running, f"it ended early; it printed:\n{child.output}"
        return self.events() >= events

    def check_ledger(self) -> None:
        with closing(open_ledger(self.ledger_file)) as ledger:
            repeated = ledger.execute("SELECT run_id, key FROM calls WHERE was_recorded").fetchall()
            doubled = ledger.execute(
                "SELECT run_id, key, count(*) FROM effects GROUP BY run_id, key HAVING count(*) > 1"
            ).fetchall()
            unsafe = ledger.execute(
                "SELECT run_id, count(*) FROM calls WHERE key = 'notify' GROUP BY run_id HAVING count(*) > 1"
            ).fetchall()
        assert (repeated, doubled, unsafe) == ([], [], [])

    async def stories(self) -> list[RunStory]:
        stories, integrity = await read_stories(self.journal, "load")
        assert integrity == "ok"
        assert [problem for story in stories for problem in story.problems] == []
        return list(stories)


@pytest.mark.timeout(240)
async def test_a_hundred_runs_in_flight_survive_ten_kills_at_random(tmp_path: Path) -> None:
    chance = random.Random(20_240_607)
    paths = ["plain", "ask", "approve", "ask approve", "ask approve person"]
    load = Load([errand(paths[n % 5], n, review="seen by hand") for n in range(100)], tmp_path)
    for _ in range(10):
        with load.start() as child:
            seen = load.calls() + chance.randint(5, 45)
            await until(lambda c=child, n=seen: load.has_called(c, n), timeout_s=WAIT_S)  # type: ignore[misc]
    with load.start() as child:
        child.wait(timeout_s=WAIT_S)
    stories = await load.stories()
    assert Counter(story.result.status for story in stories) == {"completed": 100}
    load.check_ledger()
    with closing(open_ledger(load.ledger_file)) as ledger:
        effects = dict(ledger.execute("SELECT key, count(*) FROM effects GROUP BY key"))
    assert effects == {"reserve": 100, "charge": 100}
    assert max(max(story.attempts.values()) for story in stories) > 1


async def test_a_journal_whose_writer_is_killed_in_commits_is_whole_and_resumes(tmp_path: Path) -> None:
    """Agents that do nothing: what the process does when it dies is write."""
    chance = random.Random(7)
    load = Load([errand("bare", n) for n in range(400)], tmp_path)
    written = 0
    for _ in range(6):
        with load.start() as child:
            written += chance.randint(20, 250)
            await until(lambda c=child, n=written: load.has_written(c, n), timeout_s=WAIT_S)  # type: ignore[misc]
        _, integrity = await read_stories(load.journal, "none")
        assert integrity == "ok"
        written = load.events()
    with load.start() as child:
        child.wait(timeout_s=WAIT_S)
    assert Counter(story.result.status for story in await load.stories()) == {"completed": 400}


@pytest.mark.parametrize("number", range(2))
async def test_a_journal_whose_maker_is_killed_is_made_by_the_next_process(number: int, tmp_path: Path) -> None:
    load = Load([errand("bare", number)], tmp_path)
    with load.start() as child:
        await until(load.journal.exists, timeout_s=WAIT_S)
    assert child.was_killed
    with load.start() as child:
        child.wait(timeout_s=WAIT_S)
    assert [story.result.status for story in await load.stories()] == ["completed"]


@pytest.mark.timeout(180)
async def test_a_hop_that_kills_its_process_fails_alone_and_the_other_runs_go_on(tmp_path: Path) -> None:
    """Its neighbours die with it each time they run beside it, and still none of them is given up."""
    texts = ["poison", *["gate open"] * 20]
    load = Load([errand(text, number, review="seen by hand") for number, text in enumerate(texts)], tmp_path)
    deaths = 0
    while True:
        with load.start() as child:
            if deaths == 2:
                (tmp_path / "gate open").touch()
            if not child.wait(timeout_s=WAIT_S).was_killed:
                break
            deaths += 1
            assert deaths <= 4, "it has four attempts"
    poison, *others = sorted(await load.stories(), key=lambda story: story.result.status, reverse=True)
    assert poison.result.error is not None
    assert (poison.result.status, poison.result.error.code) == ("failed", "max_attempts")
    assert poison.result.error.details["attempts"] == poison.attempts[2] == deaths == 4
    assert Counter(story.result.status for story in others) == {"completed": 20}
    assert max(max(story.attempts.values()) for story in others) == 3
    load.check_ledger()
