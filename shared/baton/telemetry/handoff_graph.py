"""Who hands off to whom: the hops of many runs as a graph.

In: the hops of a window of time. Out: nodes and edges with what happened on them. `cli.graph_page` shows them.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby
from statistics import quantiles

from baton.journal.views import HopWindow, WindowHop
from baton.protocol.guards import HUMAN, ROUTER


@dataclass(frozen=True, slots=True)
class Edge:
    """The handoffs from one agent to another; the router's decisions are handoffs, too."""

    source: str
    target: str
    count: int
    failures: int
    """Runs that failed at the hop that this handoff led to."""
    loops: int
    """Those that led back to an agent that the run had been at before."""
    queue_p50_s: float | None
    """Median of the seconds from the handoff to its first claim; None: of none of them is it known."""
    queue_p95_s: float | None
    """Of twenty, nineteen were claimed within so many seconds."""


@dataclass(frozen=True, slots=True)
class HandoffGraph:
    """The handoffs of a window of time."""

    layers: tuple[tuple[str, ...], ...]
    """The router, agents and `human` by the longest way to them, leaving out ways back."""
    edges: tuple[Edge, ...]
    """The most frequent first."""
    runs: int
    """How many runs they are of."""
    is_cut: bool
    """True: there were more runs, and the oldest are left out."""


@dataclass(slots=True)
class _Seen:
    """What was seen of an edge so far."""

    failures: int = 0
    loops: int = 0
    queue_s: list[float | None] = field(default_factory=list)


def build(window: HopWindow) -> HandoffGraph:
    """Return the graph of a window's hops."""
    seen: dict[tuple[str, str], _Seen] = defaultdict(_Seen)
    runs = 0
    for _, hops in groupby(window.hops, key=lambda hop: hop.run_id):
        runs += 1
        _count(list(hops), seen)
    edges = sorted((_edge(pair, one) for pair, one in seen.items()), key=lambda e: (-e.count, e.source, e.target))
    names = {hop.agent for hop in window.hops}
    onward_first = sorted(edges, key=lambda edge: 2 * edge.loops > edge.count)
    layers = layers_of(sorted(names), [(edge.source, edge.target) for edge in onward_first])
    return HandoffGraph(tuple(map(tuple, layers)), tuple(edges), runs, window.is_cut)


def layers_of(names: Sequence[str], pairs: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return nodes by the length of the longest way to them; edges that would close a circle do not count.

    Args:
        names: All nodes; where nothing else decides, they keep their order.
        pairs: Edges, the more important first: of a circle, the least important one does not count; nor do those back
            to the router, and those that a person gave on.
    """
    after: dict[str, set[str]] = {name: set() for name in names}
    depth = {name: int(name != ROUTER) for name in names}
    for source, target in pairs:
        is_way_back = source == HUMAN or target == ROUTER
        if source in after and target in after and not is_way_back and not _leads(after, target, source):
            after[source].add(target)
            _push(after, depth, target, depth[source] + 1)
    layers = [[name for name in names if depth[name] == layer] for layer in range(max(depth.values(), default=-1) + 1)]
    return [layer for layer in layers if layer]


def _leads(after: dict[str, set[str]], source: str, target: str) -> bool:
    """Return True where a way leads from one node to another, or both are the same."""
    todo, known = [source], {source}
    while todo:
        one = todo.pop()
        if one == target:
            return True
        todo += after[one] - known
        known |= after[one]
    return False


def _push(after: dict[str, set[str]], depth: dict[str, int], name: str, least: int) -> None:
    """Move a node, and all that come after it, as deep as they have to be."""
    if depth[name] < least:
        depth[name] = least
        for following in after[name]:
            _push(after, depth, following, least + 1)


def _count(hops: Sequence[WindowHop], seen: dict[tuple[str, str], _Seen]) -> None:
    """Count the handoffs of one run."""
    visited: set[str] = set()
    for hop in hops:
        if hop.from_agent is not None and hop.seq > 0 and hop.kind != "reply" and not hop.is_copied:
            edge = seen[hop.from_agent, hop.agent]
            edge.queue_s.append(hop.queue_s)
            edge.failures += hop.is_failed
            edge.loops += hop.agent in visited and hop.agent not in (ROUTER, HUMAN)
        visited.add(hop.agent)


def _edge(pair: tuple[str, str], seen: _Seen) -> Edge:
    known = sorted(one for one in seen.queue_s if one is not None)
    return Edge(*pair, len(seen.queue_s), seen.failures, seen.loops, _share(known, 50), _share(known, 95))


def _share(ordered: Sequence[float], percent: int) -> float | None:
    """Return what so many of a hundred are not above; None of none."""
    if len(ordered) < 2:
        return ordered[0] if ordered else None
    return quantiles(ordered, n=100, method="inclusive")[percent - 1]
