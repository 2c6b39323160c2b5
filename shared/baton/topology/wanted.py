"""What RabbitMQ should have: exchanges, queues, bindings and one policy, as data.

In: the agents' names and the broker's version. Out: a `Wanted`, compared with the broker in
`differences`, printed by `baton topology show`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from baton.broker.rabbitmq.names import (
    AGENT_QUEUE_PREFIX,
    DEAD,
    DEAD_QUEUE,
    EVENTS,
    REQUESTS,
    REQUESTS_QUEUE,
    WORK,
    agent_queue,
)
from baton.protocol.guards import ROUTER

Version: TypeAlias = tuple[int, ...]
"""A RabbitMQ version: (3, 10, 8)."""

TOPIC = "topic"
QUORUM = "quorum"
ANY_KEY = "#"
POLICY_NAME = "baton"
POLICY_PRIORITY = 50
"""Above what a catch-all policy usually has: only one policy counts for a queue."""
NEWEST: Version = (4, 3, 1)
"""The version from which every key of the policy is there."""
APPLIES_BY_TYPE: Version = (3, 12)
"""The version from which a policy can be meant for quorum queues alone."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable topic exchange."""

    name: str

    def __str__(self) -> str:
        return f"exchange {self.name}"


@dataclass(frozen=True, slots=True)
class Queue:
    """A quorum queue. Its type is all that is declared: the rest is the policy's and can change."""

    name: str

    def __str__(self) -> str:
        return f"queue {self.name}"


@dataclass(frozen=True, slots=True)
class Binding:
    """Which messages of an exchange go to a queue."""

    exchange: str
    target: str
    key: str
    kind: str = "queue"
    """`queue`, or `exchange` where the target is one."""

    def __str__(self) -> str:
        return f"binding {self.exchange} → {self.target}, key {self.key!r}"


@dataclass(frozen=True, slots=True)
class Policy:
    """Settings for all entities whose name matches; of several policies the highest alone counts."""

    name: str
    pattern: str
    apply_to: str
    """`queues`, `quorum_queues`, `exchanges`, `all`, …"""
    priority: int
    definition: Mapping[str, object]

    def __str__(self) -> str:
        return f"policy {self.name}"


Entity: TypeAlias = Exchange | Queue | Binding | Policy


@dataclass(frozen=True, slots=True)
class PolicyKey:
    """One setting of the policy."""

    name: str
    value: int | str
    why: str
    since: Version = ()
    """The first RabbitMQ that takes it; empty: every supported one."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Everything that should exist."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]
    policy: Policy

    @property
    def size(self) -> int:
        """How many entities there are."""
        return len(self.exchanges) + len(self.queues) + len(self.bindings) + 1


def wanted(agents: Collection[str], *, consumer_timeout_s: float, version: Version = NEWEST) -> Wanted:
    """Return what a team needs.

    Args:
        agents: Names of the agents that are services; the router's queue comes by itself.
        consumer_timeout_s: Seconds for which a delivery may stay unacknowledged, > 0.
        version: The broker's; it decides what the policy may say.
    """
    names = sorted({*agents, ROUTER})
    return Wanted(
        exchanges=tuple(Exchange(name) for name in (REQUESTS, WORK, DEAD, EVENTS)),
        queues=tuple(Queue(name) for name in (REQUESTS_QUEUE, DEAD_QUEUE, *map(agent_queue, names))),
        bindings=(
            Binding(REQUESTS, REQUESTS_QUEUE, ANY_KEY),
            Binding(DEAD, DEAD_QUEUE, ANY_KEY),
            *(Binding(WORK, agent_queue(name), name) for name in names),
        ),
        policy=Policy(
            name=POLICY_NAME,
            pattern=rf"^({_literal(REQUESTS_QUEUE)}$|{_literal(AGENT_QUEUE_PREFIX)})",
            apply_to="quorum_queues" if version >= APPLIES_BY_TYPE else "queues",
            priority=POLICY_PRIORITY,
            definition={key.name: key.value for key in policy_keys(consumer_timeout_s) if version >= key.since},
        ),
    )


def policy_keys(consumer_timeout_s: float) -> tuple[PolicyKey, ...]:
    """Return the policy's settings for every version. It has to carry all of them: one policy counts.

    Source:
        rabbitmq.com/docs/quorum-queues, rabbitmq.com/docs/policies; `consumer-timeout` and policies by
        queue type: release notes of 3.12.0; `delayed-retry-*` in policies: rabbitmq-server #16395 (4.3.1).
    """
    return (
        PolicyKey("delivery-limit", 20, "what crashes its consumer again and again is dead-lettered"),
        PolicyKey("dead-letter-exchange", DEAD, "and kept there"),
        PolicyKey("dead-letter-strategy", "at-least-once", "even if the dead-letter queue is away for a while"),
        PolicyKey("overflow", "reject-publish", "which at-least-once needs; the publisher keeps what is rejected"),
        PolicyKey("max-length", 100_000, "a queue that nobody serves does not fill the disk"),
        PolicyKey(
            "consumer-timeout",
            round(consumer_timeout_s * 1000),
            "ms until a held delivery is given to another",
            (3, 12),
        ),
        PolicyKey("delayed-retry-type", "disabled", "retries are the journal's", NEWEST),
    )


def parsed(version: str) -> Version:
    """Return `3.10.8` or `4.1.0-rc.1` as numbers; what is no number counts as 0."""
    plain = version.partition("-")[0].partition("+")[0]
    return tuple(int(part) if part.isdecimal() else 0 for part in plain.split("."))


def _literal(name: str) -> str:
    return name.replace(".", r"\.")
