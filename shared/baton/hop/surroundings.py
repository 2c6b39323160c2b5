"""What the workers of one process share.

In: put together once, by `service`. Out: read by every `hop.worker`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from baton.broker.contract import Broker
from baton.config import Settings
from baton.envelope import Envelope
from baton.hop.leases import Leases
from baton.journal.contract import Journal
from baton.protocol import guards
from baton.telemetry.telling import Telemetry

MADE_LIMIT = 512
"""Most envelopes that are kept for receivers in this process; the others are decoded."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every worker of a process shares."""

    journal: Journal
    broker: Broker
    leases: Leases
    settings: Settings
    graph: Callable[[], guards.Graph]
    owner: str
    wakes: Callable[[str, str], bool]
    """Whether the first may publish to the second."""
    refresh: Callable[[], Awaitable[None]]
    """Reads the registered cards again: the graph may be seconds old."""
    made: dict[str, Envelope] = field(default_factory=dict)
    """Envelopes that this process published lately, by digest: their receiver here need not decode them."""
    telemetry: Telemetry = field(default_factory=Telemetry)
