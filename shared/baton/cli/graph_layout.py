"""Where the boxes and lines of a handoff graph stand: a column for each layer, and lines that go around boxes.

In: a handoff graph. Out: points in pixels, for `graph_svg`.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from baton.telemetry.handoff_graph import Edge, HandoffGraph

BOX_WIDTH, BOX_HEIGHT = 150, 40
COLUMN_WIDTH = 260
_ROW, _LANE = 74, 34
"""Height that a box takes in its column, and that a line takes which passes between boxes."""
_APART = 9
"""How far below a line onward the line back stands, where both join the same boxes."""

Point = tuple[float, float]
Passing = tuple[str, str, int]
"""Where an edge, from and to, passes a column."""
Item = str | Passing


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything stands; the left upper corner is (0, 0)."""

    boxes: Mapping[str, Point]
    """The middle of each node's box."""
    lines: Sequence[tuple[Edge, Sequence[Point]]]
    """The points that each edge goes through, from its source to its target."""
    width: float
    height: float

    @classmethod
    def of(cls, graph: HandoffGraph) -> Self:
        """Return the layout of a graph."""
        layer = {name: place for place, names in enumerate(graph.layers) for name in names}
        chains = {edge: _chain(edge, layer) for edge in graph.edges}
        columns = _ordered(graph, list(chains.values()))
        heights = [sum(map(_height, items)) for items in columns]
        height = max(heights, default=0)
        middles: dict[Item, Point] = {}
        for place, (items, own) in enumerate(zip(columns, heights, strict=True)):
            top = (height - own) / 2
            for item in items:
                middles[item] = (BOX_WIDTH / 2 + place * COLUMN_WIDTH, top + _height(item) / 2)
                top += _height(item)
        lines = [(edge, _points(edge, chain, middles, layer)) for edge, chain in chains.items()]
        boxes = {item: middle for item, middle in middles.items() if isinstance(item, str)}
        width = BOX_WIDTH + max(0, len(columns) - 1) * COLUMN_WIDTH
        return cls(boxes, lines, width, height)


def _height(item: Item) -> int:
    return _ROW if isinstance(item, str) else _LANE


def _chain(edge: Edge, layer: Mapping[str, int]) -> list[Item]:
    """Return what an edge goes through from the left to the right, its two boxes included."""
    left, right = sorted((edge.source, edge.target), key=lambda name: layer[name])
    passed: list[Item] = [(edge.source, edge.target, place) for place in range(layer[left] + 1, layer[right])]
    return [left, *passed, right]


def _ordered(graph: HandoffGraph, chains: Sequence[Sequence[Item]]) -> list[list[Item]]:
    """Return the items of each column, each about as high as what it is joined to in the column before."""
    columns: list[list[Item]] = [list(names) for names in graph.layers]
    before: dict[Item, list[Item]] = defaultdict(list)
    for chain in chains:
        for item in chain:
            if not isinstance(item, str):
                columns[item[2]].append(item)
        for one, following in pairwise(chain):
            before[following].append(one)
    for place in range(1, len(columns)):
        rank = {item: number / len(columns[place - 1]) for number, item in enumerate(columns[place - 1])}
        columns[place].sort(key=lambda item: _mean([rank[one] for one in before[item] if one in rank]))
    return columns


def _mean(ranks: Sequence[float]) -> float:
    return sum(ranks) / len(ranks) if ranks else 1.0


def _points(edge: Edge, chain: Sequence[Item], middles: Mapping[Item, Point], layer: Mapping[str, int]) -> list[Point]:
    """Return an edge's points: out of one side of its boxes, and past those between them in straight lines."""
    is_back = layer[edge.source] > layer[edge.target]
    shift = _APART if is_back else -_APART
    (left_x, left_y), (right_x, right_y) = middles[chain[0]], middles[chain[-1]]
    if layer[edge.source] == layer[edge.target]:
        (x, y1), (_, y2) = middles[edge.source], middles[edge.target]
        return [(x + BOX_WIDTH / 2, y1), (x + BOX_WIDTH / 2, y2)]
    points: list[Point] = [(left_x + BOX_WIDTH / 2, left_y + shift)]
    for item in chain[1:-1]:
        x, y = middles[item]
        points += [(x - BOX_WIDTH / 2, y), (x + BOX_WIDTH / 2, y)]
    points.append((right_x - BOX_WIDTH / 2, right_y + shift))
    return points[::-1] if is_back else points
