"""The picture of an evaluation: what a threshold would give, how reliable confidences are, who is confused.

In: figures, and judged rows or turns. Out: the text of an SVG file.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from baton.cli.charts_svg import Axes, Chart, Dot, curve, heat_map, page
from baton.cli.eval_text import HANDOFF, ROUTING, STAYS
from baton.evaluation.confusions import among, confusions, matrix, named
from baton.evaluation.curves import curve as curve_of
from baton.evaluation.handoffs import SCORED, Moved
from baton.evaluation.judged import Judged

_AGENTS_MAX = 50
"""Rows and columns of a heat map; of more agents those confused most are shown."""
_POINTS_MAX = 400
_MARKS = ((0.95, "95 %"), (0.98, "98 %"))


def routing(figures: Mapping[str, Any], judged: Sequence[Judged], file: str) -> str:
    """Return the picture of routed rows of a file."""
    rows = f"{figures['n']:,} rows of {file!r}, {figures['n_oos']:,} of them out of scope"
    lines = [
        f"{rows}; {figures['agents']:,} agents of {figures['cards']}; {figures['method']}",
        *_shares(ROUTING, figures),
    ]
    axes = Axes("Precision by coverage", "answered, % of all rows", "right, % of the answered", marks=_MARKS)
    reliable = Axes("Reliability", "mean confidence, %", "right, %", is_diagonal=True)
    return page(
        "Routing",
        lines,
        [[curve(axes, _coverage(judged)), curve(reliable, _reliability(figures))], [_confused(judged)]],
    )


def handoff(figures: Mapping[str, Any], moved: Sequence[Moved], file: str) -> str:
    """Return the picture of recognised turns of a file: where each of an agent's turns should go, and goes."""
    scored = [one for one in moved if one.turn.gold in SCORED]
    switches = Counter(
        (one.turn.agent if one.to is None or not one.is_right_target else one.to, one.to or STAYS)
        for one in scored
        if one.turn.gold == "switch"
    )
    stays = Counter((one.turn.active, one.to or STAYS) for one in scored if one.turn.gold == "stay" and one.to)
    turns = f"{figures['n_stay']:,} stay and {figures['n_switch']:,} switch turns of {file!r}"
    lines = [
        f"{turns}; {figures['agents']:,} agents; {figures['method']}, budget {figures['budget']:.1%}",
        *_shares(HANDOFF, figures),
        f"{figures['false'] or 0:.2f} handoffs per 100 stay turns",
    ]
    return page(
        "Recognition",
        lines,
        [
            [_table("Switch turns", switches, ("should go to", "went to"))],
            [_table("Stay turns that were handed off", stays, ("active agent", "went to"))],
        ],
    )


def _coverage(judged: Sequence[Judged]) -> list[Dot]:
    points = curve_of(judged)
    step = max(1, len(points) // _POINTS_MAX)
    kept = [*points[::step], *points[-1:]]
    return [Dot(point.coverage, point.precision) for point in kept]


def _reliability(figures: Mapping[str, Any]) -> list[Dot]:
    return [
        Dot(
            part["confidence"],
            part["right"],
            f"{part['n']:,} rows, confidence {part['confidence']:.1%}, right {part['right']:.1%}",
            3 + 9 * (part["n"] / figures["n"]) ** 0.5,
        )
        for part in figures["reliability"]
    ]


def _confused(judged: Sequence[Judged]) -> Chart:
    title, shown, agents = "Likeliest agent, by the right one", judged, named(judged)
    if len(agents) > _AGENTS_MAX:
        worst: Counter[str] = Counter()
        for pair in confusions(judged):
            worst[pair.truth] += pair.count
            worst[pair.best] += pair.count
        chosen = [name for name, _ in worst.most_common(_AGENTS_MAX)]
        title = f"{title}: the {len(chosen)} of {len(agents)} that are confused most"
        shown = among(judged, chosen)
    found = matrix(shown)
    return heat_map(title, found.truths, found.agents, found.counts, ("the right agent", "the likeliest"))


def _table(title: str, cells: Mapping[tuple[Any, str], int], axes: tuple[str, str]) -> Chart:
    rows = sorted({str(row) for row, _ in cells})
    columns = sorted({column for _, column in cells} | set(rows), key=lambda name: (name == STAYS, name))
    return heat_map(title, rows, columns, [[cells.get((row, column), 0) for column in columns] for row in rows], axes)


def _shares(meanings: Mapping[str, str], figures: Mapping[str, Any]) -> list[str]:
    return [f"{name} {figures[name]:.1%}: {told}" for name, told in meanings.items() if figures[name] is not None]
