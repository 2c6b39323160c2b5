"""Handoffs as a graph: what is counted, and in which layers its nodes stand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.journal.views import HopWindow, WindowHop
from baton.telemetry.handoff_graph import Edge, HandoffGraph, build, layers_of


def hops(run_id: str, *agents: str, **last: Any) -> list[WindowHop]:
    """Return a run's hops; `last` are fields of the last one."""
    found = []
    for seq, agent in enumerate(agents):
        own = {"run_id": run_id, "seq": seq, "agent": agent, "kind": "handoff" if seq else "route"}
        given = {"from_agent": agents[seq - 1] if seq else None, "is_failed": False, "is_copied": False}
        found.append({**own, **given, "queue_s": 1.0})
    found[-1] |= last
    return [WindowHop.model_validate(one) for one in found]


def graph(*runs: list[WindowHop]) -> HandoffGraph:
    return build(HopWindow(hops=tuple(hop for run in runs for hop in run), is_cut=False))


def counts(seen: HandoffGraph) -> dict[tuple[str, str], int]:
    return {(edge.source, edge.target): edge.count for edge in seen.edges}


def test_edges_are_counted_the_most_frequent_first() -> None:
    seen = graph(hops("1", "router", "a", "b"), hops("2", "router", "a"), hops("3", "router", "a", "human"))
    assert list(counts(seen).items()) == [(("router", "a"), 3), (("a", "b"), 1), (("a", "human"), 1)]
    assert (seen.runs, seen.layers) == (3, (("router",), ("a",), ("b", "human")))


def test_a_way_back_to_an_agent_is_a_loop_and_one_to_the_router_is_none() -> None:
    seen = graph(hops("1", "router", "a", "b", "a", "router", "c"), hops("2", "router", "a", "human", "a"))
    loops = {(edge.source, edge.target): edge.loops for edge in seen.edges if edge.loops}
    assert loops == {("b", "a"): 1, ("human", "a"): 1}


def test_a_reply_is_no_handoff() -> None:
    assert counts(graph(hops("1", "router", "a", "a", kind="reply"))) == {("router", "a"): 1}


def test_what_a_redriven_run_copied_is_counted_once() -> None:
    first = hops("1", "router", "a", "b", is_failed=True)
    again = [hop.model_copy(update={"run_id": "2", "is_copied": hop.seq < 2}) for hop in hops("2", "router", "a", "b")]
    seen = graph(first, again)
    assert counts(seen) == {("a", "b"): 2, ("router", "a"): 1}
    assert [edge.failures for edge in seen.edges] == [1, 0]


def test_the_queue_is_told_of_those_of_which_it_is_known() -> None:
    runs = [hops(str(n), "router", "a", queue_s=float(n) if n < 21 else None) for n in range(22)]
    [edge] = graph(*runs).edges
    assert edge == Edge("router", "a", 22, 0, 0, edge.queue_p50_s, edge.queue_p95_s)
    assert edge.queue_p50_s == pytest.approx(10.0)
    assert edge.queue_p95_s == pytest.approx(19.0)
    [one] = graph(hops("1", "router", "a", queue_s=3.0)).edges
    assert (one.queue_p50_s, one.queue_p95_s) == (3.0, 3.0)
    [none] = graph(hops("1", "router", "a", queue_s=None)).edges
    assert (none.queue_p50_s, none.queue_p95_s) == (None, None)


def test_of_a_circle_the_least_important_edge_does_not_count() -> None:
    pairs = [("router", "a"), ("a", "b"), ("b", "c"), ("c", "a"), ("router", "c"), ("c", "router")]
    assert layers_of(["a", "b", "c", "router"], pairs) == [["router"], ["a"], ["b"], ["c"]]


NAMES = st.sampled_from(["router", "human", "a", "b", "c", "d"])


@given(pairs=st.lists(st.tuples(NAMES, NAMES), max_size=20, unique=True))
def test_every_node_stands_in_one_layer(pairs: list[tuple[str, str]]) -> None:
    names = sorted({name for pair in pairs for name in pair})
    layers = layers_of(names, pairs)
    assert sorted(name for layer in layers for name in layer) == names
    assert all(layers)
