"""`baton handoffs`: who hands off to whom, as a table or as JSON.

In: a handoff graph. Out: lines, or one JSON object.
"""

from dataclasses import asdict
from typing import Any

from baton.agent import HUMAN, ROUTER
from baton.cli.axis import elapsed
from baton.cli.printing import counted, say, table, tell
from baton.telemetry.handoff_graph import Edge, HandoffGraph


def as_json(graph: HandoffGraph, *, since_s: float) -> dict[str, Any]:
    """Return a graph of so many seconds as JSON values."""
    return {
        "since_s": since_s,
        "runs": graph.runs,
        "is_cut": graph.is_cut,
        "nodes": [
            {"name": name, "kind": _kind(name), "layer": layer}
            for layer, names in enumerate(graph.layers)
            for name in names
        ],
        "edges": [_edge_json(edge) for edge in graph.edges],
    }


def show(graph: HandoffGraph, *, since_s: float) -> None:
    """Print a graph of so many seconds as a table, the most frequent handoffs first."""
    if not graph.edges:
        tell(nothing(graph, since_s=since_s))
        return
    rows = [
        [
            edge.source,
            edge.target,
            str(edge.count),
            _waited(edge.queue_p50_s),
            _waited(edge.queue_p95_s),
            str(edge.failures),
            str(edge.loops),
        ]
        for edge in graph.edges
    ]
    table(
        ["from", "to", "count", "queue p50", "p95", "failed", "loops"],
        rows,
        right={"count", "queue p50", "p95", "failed", "loops"},
    )
    say(totals(graph, since_s=since_s))
    if graph.is_cut:
        tell(f"only the newest {counted(graph.runs, 'run')} were counted: there were more; see --since and --limit")


def nothing(graph: HandoffGraph, *, since_s: float) -> str:
    """Return what there is to say of a window without handoffs."""
    return f"no handoffs in the last {elapsed(since_s)}: {counted(graph.runs, 'run')} accepted"


def totals(graph: HandoffGraph, *, since_s: float) -> str:
    """Return the sums over all edges, in words."""
    edges = graph.edges
    told = [
        counted(sum(edge.count for edge in edges), "handoff"),
        f"{sum(edge.failures for edge in edges):,} failed at the target",
        counted(sum(edge.loops for edge in edges), "loop"),
        f"{counted(graph.runs, 'run')} accepted in the last {elapsed(since_s)}",
    ]
    return " · ".join(told)


def _waited(queue_s: float | None) -> str:
    return "" if queue_s is None else elapsed(queue_s)


def _kind(name: str) -> str:
    return name if name in (ROUTER, HUMAN) else "agent"


def _edge_json(edge: Edge) -> dict[str, Any]:
    found = asdict(edge)
    return {"from": found.pop("source"), "to": found.pop("target"), **found}
