"""Time as columns: where nobody worked for long, the axis is cut, so that the rest can be seen.

In: what a run's time went to, and a width. Out: the columns of a bar.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from baton.cli import printing
from baton.telemetry.waterfall import BUSY, Stretch

SHORTEST_CUT_S = 0.25
"""What is shorter is never cut out."""
CUT_SHARE = 0.5
"""Of the time in which somebody worked: what is longer, and idle, is cut out."""
_DAY_S, _HOUR_S, _MINUTE_S = 86_400, 3600, 60
_UNITS = ((_DAY_S, "d", _HOUR_S, "h"), (_HOUR_S, "h", _MINUTE_S, "min"), (_MINUTE_S, "min", 1, "s"))


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the axis, drawn to scale or cut out."""

    start_at: float
    """Unix seconds."""
    end_at: float
    start_column: float
    end_column: float
    label: str = ""
    """How long it was, as wide as its columns; empty: it is drawn to scale."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The columns of a run's time."""

    pieces: tuple[Piece, ...]
    width: int

    @classmethod
    def of(cls, stretches: Sequence[Stretch], width: int) -> Self:
        """Return the axis of a run.

        Args:
            stretches: What its time went to, without gaps.
            width: Columns, >= 1.
        """
        labels = _cuts(stretches, width)
        shown_s = sum(one.took_s for number, one in enumerate(stretches) if number not in labels)
        columns_per_s = (width - sum(map(len, labels.values()))) / shown_s if shown_s > 0 else 0.0
        pieces: list[Piece] = []
        column = 0.0
        for number, one in enumerate(stretches):
            label = labels.get(number, "")
            after = column + (len(label) or one.took_s * columns_per_s)
            pieces.append(Piece(one.start_at, one.end_at, column, after, label))
            column = after
        return cls(tuple(pieces), width)

    def column(self, at: float) -> float:
        """Return where a moment is, 0 to `width`; what is inside a cut stands at its beginning."""
        for piece in self.pieces:
            if at < piece.end_at:
                if piece.label or at <= piece.start_at:
                    return piece.start_column
                share = (at - piece.start_at) / (piece.end_at - piece.start_at)
                return piece.start_column + share * (piece.end_column - piece.start_column)
        return self.pieces[-1].end_column if self.pieces else 0.0

    def columns(self, start_at: float, end_at: float) -> tuple[int, int]:
        """Return the first column of a bar, and the one after its last; it has at least one."""
        first = min(round(self.column(start_at)), self.width - 1)
        return first, max(first + 1, min(round(self.column(end_at)), self.width))

    def cuts(self, start_at: float, end_at: float) -> list[Piece]:
        """Return the pieces that are cut out of a bar."""
        return [one for one in self.pieces if one.label and start_at < one.end_at and end_at > one.start_at]


def elapsed(duration_s: float) -> str:
    """Return a duration in one or two units: `4 ms`, `1.25 s`, `5 min 10 s`, `2 d 3 h`."""
    if duration_s < 2 * _MINUTE_S:
        return printing.seconds(duration_s)
    whole_s = round(duration_s)
    unit_s, unit, part_s, part = next(one for one in _UNITS if whole_s >= one[0])
    count, rest_s = divmod(whole_s, unit_s)
    return f"{count} {unit} {rest_s // part_s} {part}" if rest_s >= part_s else f"{count} {unit}"


def _cuts(stretches: Sequence[Stretch], width: int) -> dict[int, str]:
    """Return the labels of what is cut out, by its place: the longest first, as many as leave half of the width."""
    busy_s = sum(one.took_s for one in stretches if one.spent in BUSY)
    limit_s = max(SHORTEST_CUT_S, CUT_SHARE * busy_s)
    idle = [place for place, one in enumerate(stretches) if one.spent not in BUSY and one.took_s > limit_s]
    labels: dict[int, str] = {}
    room = width // 2
    for place in sorted(idle, key=lambda place: -stretches[place].took_s):
        label = f"⋯ {elapsed(stretches[place].took_s)} ⋯"
        label = label if len(label) <= room else "⋯"
        if room:
            labels[place] = label
            room -= len(label)
    return labels
