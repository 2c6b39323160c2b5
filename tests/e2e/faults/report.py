"""The report of `make chaos`: one line per fault.

In: verdicts. Out: a table for people, JSON for programs.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from tests.e2e.faults.arena import percentile
from tests.e2e.faults.oracle import Verdict

_HEADS = ("fault", "runs", "faults", "lost", "doubled", "wrong", "late", "recovery p50", "max", "took")


@dataclass(frozen=True)
class Row:
    """What came of one fault."""

    fault: str
    runs: int = 0
    faults: int = 0
    """How many were injected."""
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    """Runs that ended otherwise than they should, and what else was not as promised."""
    late: int = 0
    """Results that came more than 5 s after their run's end."""
    recovery_p50_s: float = 0.0
    recovery_max_s: float = 0.0
    took_s: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    notes: dict[str, float | int | str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @classmethod
    def of(cls, fault: str, verdict: Verdict, *, took_s: float) -> "Row":
        """Return the line of a verdict."""
        times = verdict.recoveries_s
        return cls(
            fault,
            runs=verdict.runs,
            faults=len(times),
            lost=len(verdict.lost),
            doubled=len(verdict.doubled),
            wrong=len(verdict.wrong),
            late=verdict.late,
            recovery_p50_s=round(percentile(times, 0.5), 2),
            recovery_max_s=round(max(times, default=0.0), 2),
            took_s=round(took_s, 1),
            statuses=dict(verdict.statuses),
            notes={
                "run p50, s": round(percentile(verdict.took_s, 0.5), 2),
                "run max, s": round(max(verdict.took_s, default=0.0), 2),
                "latest result, s": round(verdict.latest_s, 2),
                "most attempts": verdict.most_attempts,
                "result copies": verdict.copies,
                **verdict.notes,
            },
            problems=tuple(verdict.problems),
        )

    @classmethod
    def broken(cls, fault: str, why: BaseException, *, took_s: float) -> "Row":
        """Return the line of a fault that could not be judged."""
        told = f"{type(why).__name__}: {why}"
        return cls(fault, wrong=1, took_s=round(took_s, 1), problems=(told,))

    @property
    def cells(self) -> tuple[str, ...]:
        """The line's cells."""
        counts = (self.runs, self.faults, self.lost, self.doubled, self.wrong, self.late)
        times = (self.recovery_p50_s, self.recovery_max_s, self.took_s)
        return (self.fault, *map(str, counts), *(f"{seconds:.1f} s" for seconds in times))

    @property
    def is_well(self) -> bool:
        """True where every guarantee held."""
        return not self.problems

    def as_json(self) -> dict[str, object]:
        """Return all of it."""
        return asdict(self)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table, and below it what was wrong."""
    lines = [_HEADS, *(row.cells for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    shown = [_line(line, widths) for line in lines]
    rule = "|" + "|".join("-" * (width + 1) + (":" if column else "-") for column, width in enumerate(widths)) + "|"
    problems = [f"{row.fault}: {problem}" for row in rows for problem in row.problems]
    return "\n".join([shown[0], rule, *shown[1:], *problems])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = (cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
    return "| " + " | ".join([first.strip().ljust(widths[0]), *rest]) + " |"
