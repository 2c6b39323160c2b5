"""The figures of recognition: which turns were handed off, which should have been, and to whom.

In: turns, each with where it was handed off to. Out: shares from 0 to 1, and `false` per 100 stay turns.

Source:
    evals/README.md, Metrics.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from baton.evaluation.dialogues import DialogueTurn
from baton.evaluation.figures import rounded_all, share

SCORED = frozenset({"stay", "switch"})
"""The kinds of turn that count; `mixed` is told apart."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One turn, and what a recogniser did with it."""

    turn: DialogueTurn
    to: str | None
    """The agent it was handed off to; None: it stayed."""

    @property
    def is_right_target(self) -> bool:
        """Whether it was handed off to an agent that should have it."""
        return self.to in self.turn.targets


@dataclass(frozen=True, slots=True)
class Slip:
    """Turns of one agent that were wrongly handed off, or wrongly kept."""

    active: str
    to: str | None
    """Where they went; None: they stayed."""
    wanted: str
    """Where they should have gone; the active agent where they should have stayed."""
    count: int
    such_as: str


def handoff_figures(moved: Sequence[Moved]) -> dict[str, Any]:
    """Return all figures of recognised turns.

    Args:
        moved: Turns of any kind.

    Returns:
        By name: counts, shares of 6 digits or None where nothing can be said, `false` per 100 stay turns,
        and `mixed` with its own.
    """
    stay = [one for one in moved if one.turn.gold == "stay"]
    switch = [one for one in moved if one.turn.gold == "switch"]
    mixed = [one for one in moved if one.turn.gold == "mixed"]
    found, false = (sum(one.to is not None for one in part) for part in (switch, stay))
    right = sum(one.is_right_target for one in switch)
    false_share = share(false, len(stay))
    shares: dict[str, Any] = {
        "n": len(stay) + len(switch),
        "recall": share(found, len(switch)),
        "precision": share(found, found + false),
        "target": share(right, found),
        "correct": share(right, len(switch)),
        "f1": share(2 * right, found + false + len(switch)),  # of right / handoffs and right / switch turns
        "turnacc": share(len(stay) - false + right, len(stay) + len(switch)),
        "false": None if false_share is None else 100 * false_share,
        "n_stay": len(stay),
        "n_switch": len(switch),
        "mixed": {
            "n": len(mixed),
            "handed_off": share(sum(one.to is not None for one in mixed), len(mixed)),
            "target": share(sum(one.is_right_target for one in mixed), sum(one.to is not None for one in mixed)),
        },
    }
    rounded: dict[str, Any] = rounded_all(shares)
    return rounded


def slips(moved: Sequence[Moved]) -> list[Slip]:
    """Return what went wrong on the scored turns, by the agents between which it did, the most frequent first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    such_as: dict[tuple[str, str, str], str] = {}
    for one in moved:
        turn, active = one.turn, one.turn.active or ""
        is_right = one.to is None if turn.gold == "stay" else one.is_right_target
        if turn.gold not in SCORED or is_right:
            continue
        wanted = active if turn.gold == "stay" else turn.agent or ""
        key = (active, one.to or "", wanted)
        counts[key] += 1
        such_as.setdefault(key, turn.user)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        Slip(active, to or None, wanted, count, such_as[active, to, wanted]) for (active, to, wanted), count in ranked
    ]
