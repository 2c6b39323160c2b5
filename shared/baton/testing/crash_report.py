"""What a crash left behind, read from the journal after the process that went on has exited.

In: the journal's file. Out: a `CrashReport`, which says what in it breaks the guarantee.
"""

from dataclasses import dataclass
from pathlib import Path

from baton.journal.sqlite.journal import SqliteJournal
from baton.journal.views import EventView, HopView, RunFilter, StepView, WaitView
from baton.request import Result

ENDS = frozenset({"answer", "completed", "failed", "cancelled"})
"""Events that end a run."""


@dataclass(frozen=True, slots=True)
class RunStory:
    """One run as the journal tells it."""

    result: Result
    """How it stands."""
    hops: tuple[HopView, ...]
    steps: tuple[StepView, ...]
    """What is recorded, each with the attempt that recorded it."""
    waits: tuple[WaitView, ...]
    events: tuple[EventView, ...]

    @property
    def attempts(self) -> dict[int, int]:
        """Attempts per hop, by its `seq`."""
        return {hop.seq: hop.attempt for hop in self.hops}

    @property
    def terminal_count(self) -> int:
        """How often the run ended: 1, or 0 where it waits."""
        return sum(event.type in ENDS for event in self.events)

    @property
    def problems(self) -> list[str]:
        """What breaks the guarantee, a sentence each."""
        found = []
        result, ends = self.result, self.terminal_count
        if not result.has_ended and result.status != "waiting":
            found.append(f"the run is {result.status}: it has neither ended nor does it wait")
        if ends != result.has_ended:
            found.append(f"the run is {result.status} and its timeline has {ends} ends")
        if self.events and result.has_ended and self.events[-1].type not in ENDS:
            found.append(f"the timeline goes on after the end, with {self.events[-1].type!r}")
        numbers = [event.number for event in self.events]
        if numbers != list(range(1, len(numbers) + 1)):
            found.append(f"the events are numbered {numbers}")
        open_hops = [hop.seq for hop in self.hops if hop.status not in ("done", "failed")]
        if result.has_ended and open_hops:
            found.append(f"the run has ended and its hops {open_hops} have not")
        if [hop.seq for hop in self.hops] != list(range(len(self.hops))):
            found.append(f"the hops are numbered {[hop.seq for hop in self.hops]}")
        return found


@dataclass(frozen=True, slots=True)
class CrashReport:
    """What came of one crash and of the process that went on after it."""

    at: str
    """The point."""
    count: int
    """Which passing of it."""
    was_killed: bool
    """False: the run never passed the point that often, and nothing was tested."""
    stories: tuple[RunStory, ...]
    """The runs that the request became: one."""
    integrity: str
    """What SQLite's `integrity_check` says of the journal: `ok`."""
    journal: Path
    """Its file; deleted with its folder where the kit made it and all was well."""
    output: str
    """What the processes printed."""

    @property
    def story(self) -> RunStory:
        """The run; the request must have become exactly one.

        Raises:
            AssertionError: It became none, or several.
        """
        if len(self.stories) != 1:
            raise AssertionError(f"the request became {len(self.stories)} runs: {self}")
        return self.stories[0]

    @property
    def result(self) -> Result:
        """How the run ended, or what it waits for."""
        return self.story.result

    @property
    def attempts(self) -> dict[int, int]:
        """Attempts per hop, by its `seq`."""
        return self.story.attempts

    @property
    def steps(self) -> tuple[StepView, ...]:
        """The recorded steps, each with the attempt that recorded it."""
        return self.story.steps

    @property
    def events(self) -> tuple[EventView, ...]:
        """The run's timeline."""
        return self.story.events

    @property
    def terminal_count(self) -> int:
        """How often the run ended: 1, or 0 where it waits."""
        return self.story.terminal_count

    @property
    def problems(self) -> list[str]:
        """What breaks the guarantee, or keeps the test from telling, a sentence each."""
        found = [problem for story in self.stories for problem in story.problems]
        if not self.was_killed:
            found.append(f"the point was never reached: the run does not pass it {self.count} times")
        if len(self.stories) != 1:
            found.append(f"the request became {len(self.stories)} runs")
        if self.integrity != "ok":
            found.append(f"the journal is damaged: {self.integrity}")
        return found

    def check(self) -> "CrashReport":
        """Return this report if nothing is wrong with it.

        Raises:
            AssertionError: Says all that is wrong, with the journal and the output.
        """
        if problems := self.problems:
            raise AssertionError(
                "\n".join([f"{self}:", *problems, f"journal: {self.journal}", f"output:\n{self.output}"])
            )
        return self

    def __str__(self) -> str:
        became = ", ".join(story.result.status for story in self.stories) or "no run"
        killed = "killed" if self.was_killed else "never reached"
        return f"{self.at}:{self.count} {killed}; {became}"


async def read_stories(journal: Path, batch: str) -> tuple[tuple[RunStory, ...], str]:
    """Return the runs of a batch, and what `integrity_check` says.

    Raises:
        JournalError: The file cannot be opened any more.
    """
    store = SqliteJournal(journal)
    await store.start(serves=False)
    try:
        stories = [
            RunStory(
                await store.result(run.run_id),
                tuple(await store.hops(run.run_id)),
                tuple(await store.steps(run.run_id)),
                tuple(await store.waits(run.run_id)),
                tuple(await store.events(run.run_id)),
            )
            for run in await store.runs(RunFilter(batch=batch, limit=1_000_000))
        ]
        return tuple(stories), await store.check()
    finally:
        await store.close()
