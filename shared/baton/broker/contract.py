"""What a broker promises: transport and wake-up, never the truth.

In: bodies to publish. Out: deliveries, at least once, first in first out per agent. Losing or
doubling any message is harmless, since the journal has it. `tests/contract` holds every
implementation to this.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from baton import ids


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message for an agent's queue."""

    agent: str
    body: bytes
    run_id: str
    seq: int
    headers: dict[str, str] = field(default_factory=dict)
    """`traceparent`, `tracestate`, `baton-schema`, `baton-run`, `baton-seq`, `baton-from`, …"""

    @property
    def message_id(self) -> str:
        """The same for every publish of one hop."""
        return ids.message_id(self.run_id, self.seq)


class Delivery(Protocol):
    """One message that was delivered and is not settled yet."""

    @property
    def body(self) -> bytes:
        """The bytes that were published."""
        ...

    @property
    def message_id(self) -> str:
        """The id it was published under."""
        ...

    @property
    def headers(self) -> dict[str, str]:
        """The headers it was published with."""
        ...

    @property
    def is_redelivered(self) -> bool:
        """True where it may have been delivered before."""
        ...

    def ack(self) -> None:
        """Settle it; harmless when repeated, or when its connection is gone."""
        ...


class Incoming(Delivery, Protocol):
    """A message of `baton.requests`, published by any program."""

    @property
    def reply_to(self) -> str | None:
        """The queue that the sender wants its results on."""
        ...

    @property
    def correlation_id(self) -> str | None:
        """What the sender knows its request by; goes back with each result."""
        ...

    @property
    def user_id(self) -> str | None:
        """The sender's user, where it said so: the broker has checked it."""
        ...


@dataclass(frozen=True, slots=True)
class Answering:
    """A result or a question for whoever sent the request."""

    reply_to: str
    """The queue."""
    body: bytes
    message_id: str
    """The same each time one result is published to one queue."""
    correlation_id: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


class Consumer(Protocol):
    """A subscription to an agent's queue."""

    async def cancel(self) -> None:
        """Get no more deliveries; those that are not acked go back to the queue."""
        ...


@dataclass(frozen=True, slots=True)
class Hint:
    """Something happened to a run; may be lost."""

    run_id: str
    kind: str
    """`ended` or `waiting`."""


class Broker(Protocol):
    """Carries envelopes to agents."""

    async def start(self) -> None:
        """Connect.

        Raises:
            BrokerUnavailableError: It cannot be reached now; it is tried again until `close`.
            ConfigError: It refuses this user or vhost.
        """
        ...

    def trouble(self) -> str | None:
        """Return what keeps the broker from being used now, for a person; None: nothing."""
        ...

    async def close(self) -> None:
        """Cancel every consumer and disconnect."""
        ...

    async def publish(self, message: Outgoing, *, timeout_s: float = 5.0) -> None:
        """Publish and return once the broker has it.

        Args:
            message: To one agent's queue.
            timeout_s: Seconds to wait for the broker's word, > 0.

        Raises:
            UnroutableError: There is no queue for that agent.
            BrokerUnavailableError: No word in time: it may have arrived or not.
        """
        ...

    async def consume(self, agent: str, on_delivery: Callable[[Delivery], None], *, prefetch: int) -> Consumer:
        """Have `on_delivery` called for each message, at most `prefetch` of them not acked.

        A consumer outlives the connection: it is made again as soon as there is one.

        Raises:
            UnroutableError: There is no queue for that agent.
            BrokerUnavailableError: There is no connection.
        """
        ...

    def hint(self, hint: Hint) -> None:
        """Tell whoever listens; no promise that it arrives."""
        ...

    def listen(self, on_hint: Callable[[Hint], None]) -> Callable[[], None]:
        """Have `on_hint` called for each hint; the function returned ends that."""
        ...


class Edge(Protocol):
    """Where other programs reach the system: a broker that they can reach offers it too."""

    async def consume_requests(self, on_request: Callable[[Incoming], None], *, prefetch: int) -> Consumer:
        """Have `on_request` called for each message of `baton.requests`. See `Broker.consume`.

        Raises:
            UnroutableError: There is no such queue.
            BrokerUnavailableError: There is no connection.
        """
        ...

    async def consume_dead(self, on_dead: Callable[[Incoming], None], *, prefetch: int) -> Consumer:
        """Have `on_dead` called for each message that the broker gave up on. See `Broker.consume`.

        Raises:
            UnroutableError: There is no queue `baton.dead`.
            BrokerUnavailableError: There is no connection.
        """
        ...

    async def answer(self, answer: Answering, *, timeout_s: float = 5.0) -> None:
        """Publish to a requester's queue and return once the broker has it.

        Raises:
            UnroutableError: There is no such queue.
            BrokerUnavailableError: No word in time: it may have arrived or not.
        """
        ...
