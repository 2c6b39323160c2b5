"""Who is taken for whom: pairs of agents, and the whole table where it can still be read.

In: judged rows. Out: counts.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from baton.evaluation.judged import Judged
from baton.evaluation.rows import OOS

MATRIX_AGENTS_MAX = 15
"""More agents make a table that nobody reads."""


@dataclass(frozen=True, slots=True)
class Confusion:
    """Rows of one agent that went to another."""

    truth: str
    """The agent that should have them; `oos` for what is out of scope and was answered."""
    best: str
    count: int
    such_as: str
    """The text of the first of them."""


@dataclass(frozen=True, slots=True)
class Matrix:
    """How often each agent's rows have each likeliest agent."""

    truths: tuple[str, ...]
    """Agents that have rows, in the order of their names; then `oos` where there are such rows."""
    agents: tuple[str, ...]
    """The likeliest agents of any row, and the truths."""
    counts: tuple[tuple[int, ...], ...]
    """Per truth, per agent."""
    unsure: tuple[int, ...]
    """Per truth: how many of its rows were not answered."""


def confusions(judged: Sequence[Judged]) -> list[Confusion]:
    """Return the pairs that were confused, the most frequent first.

    Rows in scope count whether or not they were answered; those out of scope only where they were.
    """
    counts: Counter[tuple[str, str]] = Counter()
    such_as: dict[tuple[str, str], str] = {}
    for one in judged:
        if one.best is None or one.is_right or (one.is_oos and not one.is_answered):
            continue
        pair = (one.truth or OOS, one.best)
        counts[pair] += 1
        such_as.setdefault(pair, one.text)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [Confusion(*pair, count, such_as[pair]) for pair, count in ranked]


def named(judged: Sequence[Judged]) -> set[str]:
    """Return every agent that is right or likeliest in any row."""
    return {name for one in judged for name in (one.truth, one.best) if name is not None}


def among(judged: Sequence[Judged], names: Collection[str]) -> list[Judged]:
    """Return the rows whose right and likeliest agents are both among `names`, `oos` one of them or not."""
    return [one for one in judged if (one.truth or OOS) in names and one.best in names]


def matrix(judged: Sequence[Judged]) -> Matrix:
    """Return the whole table; its size is the square of the number of agents."""
    cells = Counter((one.truth, one.best) for one in judged)
    unsure = Counter(one.truth for one in judged if not one.is_answered)
    owners = sorted({one.truth for one in judged if one.truth is not None})
    truths: list[str | None] = [*owners, *([None] if any(one.is_oos for one in judged) else [])]
    agents = sorted(named(judged))
    return Matrix(
        tuple(truth or OOS for truth in truths),
        tuple(agents),
        tuple(tuple(cells[truth, agent] for agent in agents) for truth in truths),
        tuple(unsure[truth] for truth in truths),
    )
