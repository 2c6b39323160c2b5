"""Charts as SVG that need no script: curves over two shares, and tables of counts as heat maps.

In: points and counts. Out: groups of SVG elements, put together by `page`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from baton.cli.printing import clean

PLOT = 300
"""Side of the square that a curve is drawn in, pixels."""
_LEFT, _TOP, _BOTTOM = 60, 40, 50  # pixels around a plot
CHART_WIDTH, CHART_HEIGHT = PLOT + _LEFT + 30, PLOT + _TOP + _BOTTOM
"""Of a chart with its axes and title, pixels."""
_MARGIN = 20
_CELL_MAX, _CELL_MIN = 44, 5
_TABLE = 620  # pixels that the cells of a heat map may fill, each way
_LABELLED_MIN = 12  # pixels of a cell that has room for a label beside it
_SLANTED_MIN = 30  # pixels of a cell above which slanted labels stay apart
_NUMBERED_MIN = 26  # pixels of a cell that has room for its number
_LETTERS = 20  # of a name beside a cell
_LETTER_WIDTH = 7
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #1f2328 } .title { font-size: 15px; font-weight: 600 }
.head { font-size: 18px; font-weight: 600 } .ground { fill: #fff } .grid { stroke: #d8dee4 } .axis { stroke: #6e7781 }
.line { fill: none; stroke: #0969da; stroke-width: 2 } .dot { fill: #0969da } .ideal { stroke: #6e7781; fill: none;
stroke-dasharray: 4 4 } .mark { stroke: #cf222e; stroke-dasharray: 2 3 } .marked { fill: #cf222e }
.right { fill: #1a7f37 } .wrong { fill: #cf222e } .cell { stroke: #d8dee4; stroke-width: 0.5; fill: none }
.end { text-anchor: end } .middle { text-anchor: middle } .small { font-size: 10px } .pale { fill: #fff }
"""


@dataclass(frozen=True, slots=True)
class Chart:
    """A part of a page."""

    elements: Sequence[str]
    """Drawn from (0, 0) on."""
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a curve, with what it tells when pointed at."""

    x: float
    """0 to 1."""
    y: float
    """0 to 1."""
    told: str = ""
    radius: float = 0.0
    """Pixels; 0: no dot, the line goes through."""


@dataclass(frozen=True, slots=True)
class Axes:
    """What a chart is called, and its axes; both go from 0 to `x_max` or 1, in percent."""

    title: str
    x: str
    y: str
    x_max: float = 1.0
    is_diagonal: bool = False
    """Also draw the line on which both are the same."""
    marks: Sequence[tuple[float, str]] = ()
    """Heights to draw a line at, with a word for each."""


def curve(axes: Axes, dots: Sequence[Dot]) -> Chart:
    """Draw points and the line through them."""

    def at(dot: Dot) -> tuple[float, float]:
        return _LEFT + PLOT * min(dot.x / axes.x_max, 1.0), _TOP + PLOT * (1 - dot.y)

    places = [at(dot) for dot in dots]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    elements = [
        *_frame(axes),
        *([f'<polyline class="line" points="{path}"/>'] if len(dots) > 1 else []),
        *(
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{dot.radius:.1f}">{_title(dot.told)}</circle>'
            for dot, (x, y) in zip(dots, places, strict=True)
            if dot.radius
        ),
    ]
    return Chart(elements, CHART_WIDTH, CHART_HEIGHT)


def heat_map(
    title: str, rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]], axes: tuple[str, str]
) -> Chart:
    """Draw a table of counts, the darker the larger their share of their row.

    Args:
        title: What is counted.
        rows: A name for each row; a cell whose row and column have one name is right, any other wrong.
        columns: A name for each column.
        counts: Per row, per column.
        axes: What rows are, and what columns are.
    """
    cell = max(_CELL_MIN, min(_CELL_MAX, _TABLE // max(len(columns), len(rows), 1)))
    letters = max(map(len, map(short, [*rows, *columns])), default=0)
    label = 10 + _LETTER_WIDTH * letters if cell >= _LABELLED_MIN else 20
    left, top = label + 20, _TOP + label
    elements = [text(10, 18, title, "title"), text(10, 34, f"rows: {axes[0]}; columns: {axes[1]}", "small")]
    for number, (row, found) in enumerate(zip(rows, counts, strict=True)):
        whole = sum(found) or 1
        for place, (column, count) in enumerate(zip(columns, found, strict=True)):
            if count:
                kind = "right" if row == column else "wrong"
                corner = (left + place * cell, top + number * cell)
                elements += _cell(corner, cell, (count, count / whole), f"{row} → {column}: {count:,}", kind)
    width, height = cell * len(columns), cell * len(rows)
    elements.append(f'<rect class="cell" x="{left}" y="{top}" width="{width}" height="{height}"/>')
    if cell >= _LABELLED_MIN:
        elements += [
            text(left - 6, top + number * cell + cell / 2 + 4, short(row), "end") for number, row in enumerate(rows)
        ]
        elements += [
            _upright(left + place * cell + cell / 2 + 4, top - 6, short(column), is_steep=cell < _SLANTED_MIN)
            for place, column in enumerate(columns)
        ]
    return Chart(elements, left + width + 20, top + height + 20)


def page(title: str, lines: Sequence[str], rows: Sequence[Sequence[Chart]]) -> str:
    """Return a picture with a title, lines of text, and charts in rows."""
    top = 2 * _MARGIN + 24 + 18 * len(lines)
    parts: list[str] = []
    width = 2 * _MARGIN + max([10 * len(title), *(7 * len(line) for line in lines)])
    for row in rows:
        left = _MARGIN
        for chart in row:
            parts += [f'<g transform="translate({left:g} {top:g})">', *chart.elements, "</g>"]
            left += int(chart.width)
        width = max(width, left + _MARGIN)
        top += int(max(chart.height for chart in row)) + _MARGIN
    size = f'viewBox="0 0 {width} {top}" width="{width}" height="{top}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">{_title(title)}<style>{_STYLE}</style>',
            '<rect class="ground" width="100%" height="100%"/>',
            text(_MARGIN, _MARGIN + 14, title, "head"),
            *(text(_MARGIN, _MARGIN + 38 + 18 * number, line) for number, line in enumerate(lines)),
            *parts,
            "</svg>\n",
        ]
    )


def text(x: float, y: float, words: str, kind: str = "") -> str:
    """Return words at a point, as an element."""
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{_escaped(words)}</text>'


def short(name: str) -> str:
    """Return a name that fits beside a cell."""
    return name if len(name) <= _LETTERS else name[: _LETTERS - 1] + "…"


def _frame(axes: Axes) -> list[str]:
    right, bottom = _LEFT + PLOT, _TOP + PLOT
    elements = [text(_LEFT, 22, axes.title, "title")]
    for part in range(6):
        share, x, y = part / 5, _LEFT + PLOT * part / 5, bottom - PLOT * part / 5
        elements += [
            f'<path class="grid" d="M{x:g} {_TOP}V{bottom}M{_LEFT} {y:g}H{right}"/>',
            text(x, bottom + 16, f"{100 * share * axes.x_max:g}", "middle"),
            text(_LEFT - 6, y + 4, f"{100 * share:g}", "end"),
        ]
    if axes.is_diagonal:
        elements.append(f'<path class="ideal" d="M{_LEFT} {bottom}L{right} {_TOP}"/>')
    for height, word in axes.marks:
        y = bottom - PLOT * height
        elements += [
            f'<path class="mark" d="M{_LEFT} {y:g}H{right}"/>',
            text(right + 4, y + 4, word, "small marked"),
        ]
    return [
        *elements,
        f'<path class="axis" fill="none" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>',
        text(_LEFT + PLOT / 2, bottom + 36, axes.x, "middle"),
        f'<text class="middle" transform="translate(16 {_TOP + PLOT / 2}) rotate(-90)">{_escaped(axes.y)}</text>',
    ]


def _cell(corner: tuple[float, float], side: int, size: tuple[int, float], told: str, kind: str) -> list[str]:
    (x, y), (count, share) = corner, size
    opacity = 0.15 + 0.85 * share
    box = (
        f'<rect class="{kind}" fill-opacity="{opacity:.2f}" x="{x:g}" y="{y:g}" width="{side}" height="{side}">'
        f"{_title(told)}</rect>"
    )
    if side < _NUMBERED_MIN:
        return [box]
    return [box, text(x + side / 2, y + side / 2 + 4, f"{count}", "middle" + (" pale" if opacity > 0.5 else ""))]


def _upright(x: float, y: float, words: str, *, is_steep: bool) -> str:
    return f'<text transform="translate({x:g} {y:g}) rotate({-90 if is_steep else -60})">{_escaped(words)}</text>'


def _title(words: str) -> str:
    return f"<title>{_escaped(words)}</title>" if words else ""


def _escaped(words: str) -> str:
    return escape(clean(words), {'"': "&quot;"})
