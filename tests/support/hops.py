"""The context of one hop, for tests of what is decided about it."""

from typing import Any

from baton.card import Card
from baton.envelope import Budget, Message
from baton.journal.records import Lease
from baton.protocol.guards import Graph
from baton.protocol.moving import HopContext
from baton.testing.builders import make_envelope

RUN_ID = "0192f3c4d5e6" + "7" * 20


def make_log(length: int = 3) -> tuple[Message, ...]:
    """Return a log whose first message is the request."""
    roles: list[Any] = ["user", "agent"]
    return tuple(
        Message(position=n, role=roles[n % 2], name="a" if n % 2 else None, text=f"said {n}") for n in range(length)
    )


def make_graph(fallback: str | None = None, **targets: str) -> Graph:
    """Return a graph; `a="b c"` says that a may hand off to b and c."""
    cards = {
        name: Card(name=name, description=name, targets=tuple(allowed.split())) for name, allowed in targets.items()
    }
    return Graph(cards, fallback)


def make_context(*, log: int = 3, graph: Graph | None = None, **changes: Any) -> HopContext:
    """Return the context of hop 2, at agent `a`, which may hand off to `b` and `c`.

    Args:
        log: Messages in the conversation.
        graph: Who may hand off to whom.
        **changes: Fields of `HopContext`, or of its envelope.
    """
    own = {name: changes.pop(name) for name in list(changes) if name in HopContext.__dataclass_fields__}
    messages = make_log(log)
    envelope = make_envelope(
        **{
            "run_id": RUN_ID,
            "conversation_id": "c1",
            "seq": 2,
            "agent": "a",
            "text": "said 0",
            "messages": messages,
            "spans": ((0, log),),
            "log_length": log,
            "budget": Budget(max_hops=16, hops_left=10),
            **changes,
        }
    )
    return HopContext(
        **{
            "envelope": envelope,
            "lease": Lease(RUN_ID, 2, 7),
            "graph": graph or make_graph(a="b c", b="a", c=""),
            "facts": {},
            "log_length": log,
            "log": messages,
            **own,
        }
    )
