"""What is called how in RabbitMQ: exchanges, queues, keys and message types of the wire contract.

In: agents' names and hints. Out: the names under which broker and topology know them.
"""

from baton.broker.contract import Hint

REQUESTS = "baton.requests"
"""Topic exchange that any program publishes requests to, with any routing key."""
WORK = "baton.work"
"""Topic exchange for envelopes; the routing key is the agent's name."""
DEAD = "baton.dead"
"""Topic exchange for what the broker gave up on."""
EVENTS = "baton.events"
"""Topic exchange for hints, which may be lost."""

REQUESTS_QUEUE = "baton.requests"
DEAD_QUEUE = "baton.dead"
AGENT_QUEUE_PREFIX = "baton.agent."
LISTEN_PREFIX = "baton.listen."
"""Begins the names of the exclusive queues through which processes hear hints."""

HOP_TYPE = "baton.hop"
RESULT_TYPE = "baton.result"
APP_ID = "baton"

MAX_NAME_BYTES = 255
"""What AMQP allows for a routing key, a queue's name and a message id."""


def agent_queue(agent: str) -> str:
    """Return the queue of an agent, or of the router."""
    return AGENT_QUEUE_PREFIX + agent


def hint_key(hint: Hint) -> str:
    """Return the routing key that says all of a hint."""
    return f"{hint.kind}.{hint.run_id}"


def hint_of(key: str) -> Hint | None:
    """Return the hint that a routing key says; None where it says none."""
    kind, _, run_id = key.partition(".")
    return Hint(run_id, kind) if kind and run_id else None
