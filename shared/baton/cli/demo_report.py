"""What the demo prints: each run, and in the end how all of them went.

In: accounts of runs. Out: lines for people, or JSON objects for programs.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from baton.cli import printing, run_page, trail
from baton.cli.account import Account
from baton.cli.printing import clean, fields, heading, say, seconds, share, table

IDENTIFYING = frozenset({"customer"})
"""Steps that find out who is asking: neither a record that was asked for nor an effect."""
_LABELS = len("request")


@dataclass(frozen=True, slots=True)
class Shown:
    """One run of the demo."""

    account: Account
    shows: str = ""
    """What is to be seen; empty for requests from a file."""
    expected: tuple[str, ...] | None = None
    """The trail that it should take; None: any."""
    label: str | None = None
    """The agent that a person would have chosen; None: not known."""

    @property
    def is_as_expected(self) -> bool:
        """True unless the run failed, or should have ended otherwise."""
        result = self.account.result
        if self.expected is None:
            return result.status not in ("failed", "cancelled")
        return result.status == "completed" and result.trail == self.expected


@dataclass(frozen=True, slots=True)
class Totals:
    """How a demo went. Shares are of all runs, 0 to 1, unless told otherwise."""

    batch: str
    runs: int
    statuses: dict[str, int]
    abstained_share: float
    """The router found no agent and fell back."""
    answered_share: float
    """Completed."""
    acted_share: float
    """Completed, and the handler of a named skill looked up a record or made an effect."""
    right_share: float | None
    """Of the completed ones with a label: sent to the labelled agent by the router."""
    placed_right_share: float | None
    """Of those that the router sent to an agent, with a label: to the labelled one."""
    took_s: float
    runs_per_s: float
    bad_lines: int

    def as_json(self) -> dict[str, Any]:
        """Return the summary line; shares by labels only where there were labels."""
        line = {"type": "summary", **{name: getattr(self, name) for name in self.__dataclass_fields__}}
        return {name: value for name, value in line.items() if value is not None}


def totals(
    shown: Sequence[Shown], *, batch: str, handled: Collection[tuple[str, str]], took_s: float, bad_lines: int = 0
) -> Totals:
    """Count how the runs went.

    Args:
        shown: The runs.
        batch: Their batch id.
        handled: Agent and skill of every handler of a named skill.
        took_s: Seconds from the first request to the last result.
        bad_lines: Lines of the file that were no request.
    """
    accounts = [one.account for one in shown]
    done = [one for one in shown if one.account.run.status == "completed"]
    return Totals(
        batch=batch,
        runs=len(shown),
        statuses=dict(sorted(Counter(account.run.status for account in accounts).items())),
        abstained_share=_share(sum(account.route.how == "fallback" for account in accounts), len(shown)),
        answered_share=_share(len(done), len(shown)),
        acted_share=_share(sum(has_acted(one.account, handled) for one in done), len(shown)),
        right_share=_right(done),
        placed_right_share=_right([one for one in shown if one.account.route.is_placed]),
        took_s=round(took_s, 3),
        runs_per_s=round(len(shown) / took_s, 1) if took_s else 0.0,
        bad_lines=bad_lines,
    )


def has_acted(account: Account, handled: Collection[tuple[str, str]]) -> bool:
    """Return whether the handler of a named skill looked up a record or made an effect."""
    by_skill = {hop.seq for hop in account.hops if (hop.agent, hop.head.get("skill")) in handled}
    return any(step.seq in by_skill and step.status == "done" and step.key not in IDENTIFYING for step in account.steps)


def show_run(number: int, one: Shown) -> None:
    """Print one run: request, route, trail, reply."""
    account = one.account
    heading(f"{number}. {one.shows}" if one.shows else f"{number}. {account.run.run_id}")
    fields({"request": account.run.text, "route": str(account.route)}, indent=3, names_width=_LABELS)
    lines = trail.told(account)
    width = max((len(agent) for agent, _ in lines), default=0)
    for place, (agent, did) in enumerate(lines):
        label = "trail" if place == 0 else ""
        say(printing.wrapped(clean(did), first=f"   {label:<{_LABELS}}  {agent:<{width}}  "))
    result = account.result
    error = f"{result.error.code}: {result.error.message}" if result.error else None
    fields({"reply": result.text, "error": error, "status": run_page.status(account)}, indent=3, names_width=_LABELS)


def show_totals(found: Totals, shown: Sequence[Shown]) -> None:
    """Print the summary table."""
    if any(one.shows for one in shown):
        heading("Summary")
        rows = [
            [
                str(number),
                one.account.run.status,
                "yes" if one.is_as_expected else "NO",
                seconds(one.account.took_s or 0),
                one.account.trail,
                one.shows,
            ]
            for number, one in enumerate(shown, 1)
        ]
        table(["#", "status", "expected", "took", "trail", "shows"], rows, right={"#", "took"})
    heading("Totals")
    fields(_lines(found), indent=2)


def _lines(found: Totals) -> Mapping[str, str | None]:
    statuses = ", ".join(f"{count:,} {status}" for status, count in found.statuses.items())
    runs = found.runs
    return {
        "runs": f"{runs:,}: {statuses}" if runs else "0",
        "abstained": f"{share(round(found.abstained_share * runs), runs)}: the router was not sure",
        "answered": share(round(found.answered_share * runs), runs),
        "looked up or acted": share(round(found.acted_share * runs), runs),
        "right, of answered": None if found.right_share is None else f"{found.right_share:.1%}",
        "right, of placed": None if found.placed_right_share is None else f"{found.placed_right_share:.1%}",
        "took": f"{seconds(found.took_s)}, {found.runs_per_s:,.0f} runs/s",
        "bad lines": str(found.bad_lines) if found.bad_lines else None,
        "batch": found.batch,
        "look closer": f"baton runs --batch {found.batch}; baton show RUN",
    }


def _right(shown: Sequence[Shown]) -> float | None:
    labelled = [one for one in shown if one.label is not None]
    if not labelled:
        return None
    return _share(sum(one.account.route.agent == one.label for one in labelled), len(labelled))


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0
