"""A handoff graph as a picture: SVG that needs no script, laid out here, readable on light and on dark ground.

In: a handoff graph with its layers. Out: the text of a file.
"""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from baton.agent import HUMAN, ROUTER
from baton.cli import graph_page
from baton.cli.axis import elapsed
from baton.cli.graph_layout import BOX_HEIGHT, BOX_WIDTH, Layout, Point
from baton.cli.printing import clean
from baton.telemetry.handoff_graph import Edge, HandoffGraph

_MARGIN = 30
_CAPTION = 20
_LETTER_WIDTH = 7
_BULGE = 60
"""How far a line between two boxes of a column swings out."""
_NAME_LENGTH = 19
"""Letters that fit into a box."""
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2328; text-anchor: middle; dominant-baseline: middle }
.caption { text-anchor: start } .edge { fill: none; stroke: #6e7781 } .failed { stroke: #cf222e }
.count { font-size: 12px; paint-order: stroke; stroke: #fff; stroke-width: 4px } marker path { fill: #6e7781 }
rect { fill: #ddf4ff; stroke: #0969da } .router rect { fill: #fff8c5; stroke: #9a6700 }
.human rect { fill: #fbefff; stroke: #8250df } .ground { fill: #fff; stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .edge { stroke: #8d96a0 } .failed { stroke: #f85149 } .count { stroke: #0d1117 }
marker path { fill: #8d96a0 } rect { fill: #0c2d6b; stroke: #58a6ff } .router rect { fill: #3b2300; stroke: #d29922 }
.human rect { fill: #271052; stroke: #bc8cff } .ground { fill: #0d1117 } }
"""

_TIP = (
    '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="10" markerHeight="10" '
    'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0L10 5L0 10z"/></marker></defs>'
)


def drawn(graph: HandoffGraph, *, since_s: float) -> str:
    """Return a graph of so many seconds as SVG."""
    layout = Layout.of(graph)
    caption = (graph_page.totals if graph.edges else graph_page.nothing)(graph, since_s=since_s)
    width = 2 * _MARGIN + max(layout.width, _LETTER_WIDTH * len(caption))
    height = 2 * _MARGIN + _CAPTION + layout.height
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">',
        f"<title>Handoffs</title><style>{_STYLE}</style>",
        _TIP,
        '<rect class="ground" width="100%" height="100%"/>',
        f'<text class="caption" x="{_MARGIN}" y="{_MARGIN}">{_text(caption)}</text>',
        f'<g transform="translate({_MARGIN} {_MARGIN + _CAPTION})">',
        *(_line(edge, points) for edge, points in layout.lines),
        *(_count(edge, points) for edge, points in layout.lines),
        *(_node(name, middle) for name, middle in layout.boxes.items()),
        "</g></svg>",
    ]
    return "\n".join(parts) + "\n"


def _node(name: str, middle: Point) -> str:
    kind = name if name in (ROUTER, HUMAN) else "agent"
    shown = name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"
    x, y = middle
    return (
        f'<g class="{kind}"><title>{_text(name)}</title><rect x="{x - BOX_WIDTH / 2:g}" y="{y - BOX_HEIGHT / 2:g}" '
        f'width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"/><text x="{x:g}" y="{y:g}">{_text(shown)}</text></g>'
    )


def _line(edge: Edge, points: Sequence[Point]) -> str:
    """Return an edge as a curve from box to box, level where it passes a column."""
    x, y = points[0]
    path = f"M{x:g} {y:g}"
    for number, (x2, y2) in enumerate(points[1:]):
        one, two = (x + _BULGE, x2 + _BULGE) if x == x2 else ((x + x2) / 2, (x + x2) / 2)
        path += f"L{x2:g} {y2:g}" if number % 2 else f"C{one:g} {y:g} {two:g} {y2:g} {x2:g} {y2:g}"
        x, y = x2, y2
    stroke = 1 + math.log10(max(edge.count, 1))
    return (
        f'<g><title>{_text(_told(edge))}</title><path class="{"edge failed" if edge.failures else "edge"}" d="{path}" '
        f'stroke-width="{stroke:.2f}" marker-end="url(#tip)"/></g>'
    )


def _count(edge: Edge, points: Sequence[Point]) -> str:
    """Return an edge's numbers, in the middle of its way, or of where it passes the first column."""
    (x1, y1), (x2, y2) = points[1:3] if len(points) > 2 else points
    x = x1 + _BULGE * 0.75 if x1 == x2 else (x1 + x2) / 2
    return f'<text class="count" x="{x:g}" y="{(y1 + y2) / 2:g}">{_text(_label(edge))}</text>'


def _label(edge: Edge) -> str:
    failed = f" !{edge.failures:,}" if edge.failures else ""
    return f"{edge.count:,}{failed}" + (f" ↺{edge.loops:,}" if edge.loops else "")


def _told(edge: Edge) -> str:
    queue = [
        f"queue {name} {elapsed(queue_s)}"
        for name, queue_s in (("p50", edge.queue_p50_s), ("p95", edge.queue_p95_s))
        if queue_s is not None
    ]
    counts = [f"{edge.count:,}", f"{edge.failures:,} failed", f"{edge.loops:,} loops"]
    return f"{edge.source} → {edge.target}: {', '.join(counts + queue)}"


def _text(text: str) -> str:
    return escape(clean(text), {'"': "&quot;"})
