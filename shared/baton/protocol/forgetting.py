"""Whether an agent's card may be taken off the registry.

In: its name and the graph. Out: nothing, or an error that names what stands against it.
"""

from baton.errors import RequestError
from baton.protocol.guards import Graph


def check(agent: str, graph: Graph) -> None:
    """Make sure that `agent` is registered, that nobody serves it, and that the team does not fall back on it.

    Raises:
        RequestError: It is not so; its code is `unknown_agent`, `agent_live` or `agent_fallback`.
    """
    if agent not in graph.cards:
        known = ", ".join(sorted(graph.cards)) or "none"
        raise RequestError(
            f"no agent {agent!r} is registered; registered: {known}", code="unknown_agent", field="agent"
        )
    if agent in (graph.live or ()):
        told = f"agent {agent!r} is served now, and writes its card when it starts alone; stop its services first"
        raise RequestError(told, code="agent_live", field="agent")
    if agent == graph.fallback:
        told = f"agent {agent!r} is the team's fallback; start a service of the team that names another one first"
        raise RequestError(told, code="agent_fallback", field="agent")
