"""A handoff graph's picture: valid XML, boxes apart, and lines that pass between them."""

from itertools import combinations
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.cli import graph_svg
from baton.cli.graph_layout import BOX_HEIGHT, BOX_WIDTH, Layout
from baton.telemetry.handoff_graph import Edge, HandoffGraph, layers_of

SVG = "{http://www.w3.org/2000/svg}"
NAMES = st.sampled_from(["router", "human", "a", "b", "c", "d", 'quote"<&>\x07', "a name that is too long for its box"])


def graph_of(pairs: list[tuple[str, str]]) -> HandoffGraph:
    names = sorted({name for pair in pairs for name in pair})
    edges = tuple(Edge(*pair, 12, 1, 2, 0.5, None) for pair in pairs)
    return HandoffGraph(tuple(map(tuple, layers_of(names, pairs))), edges, 3, is_cut=False)


GRAPHS = st.lists(st.tuples(NAMES, NAMES).filter(lambda pair: pair[0] != pair[1]), max_size=20, unique=True).map(
    graph_of
)


@given(graph=GRAPHS)
def test_every_node_and_edge_is_in_the_picture(graph: HandoffGraph) -> None:
    root = ET.fromstring(graph_svg.drawn(graph, since_s=3600.0))
    titles = [str(title.text) for title in root.iter(f"{SVG}title")]
    assert len(titles) == 1 + len(graph.edges) + sum(map(len, graph.layers))
    assert len([path for path in root.iter(f"{SVG}path") if "edge" in path.get("class", "")]) == len(graph.edges)


@given(graph=GRAPHS)
def test_boxes_are_apart_and_lines_pass_between_them(graph: HandoffGraph) -> None:
    layout = Layout.of(graph)
    for (x1, y1), (x2, y2) in combinations(layout.boxes.values(), 2):
        assert abs(x1 - x2) >= BOX_WIDTH or abs(y1 - y2) >= BOX_HEIGHT
    for _, points in layout.lines:
        for x, y in points[1:-1]:
            assert not any(
                abs(x - box_x) <= BOX_WIDTH / 2 and abs(y - box_y) <= BOX_HEIGHT / 2
                for box_x, box_y in layout.boxes.values()
            )
        assert all(0 <= x <= layout.width and 0 <= y <= layout.height for x, y in points)


def test_a_line_goes_from_its_source_to_its_target_and_back_beside_it() -> None:
    layout = Layout.of(graph_of([("router", "a"), ("a", "b"), ("b", "a")]))
    a_x, b_x = layout.boxes["a"][0], layout.boxes["b"][0]
    onward, back = [points for edge, points in layout.lines if "router" not in (edge.source, edge.target)]
    assert [x for x, _ in onward] == pytest.approx([a_x + BOX_WIDTH / 2, b_x - BOX_WIDTH / 2])
    assert [x for x, _ in back] == pytest.approx([b_x - BOX_WIDTH / 2, a_x + BOX_WIDTH / 2])
    assert onward[0][1] < back[1][1]
