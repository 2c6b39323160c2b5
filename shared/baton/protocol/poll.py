"""When a replica may take a first attempt from the journal that the broker should have delivered.

In: what the replica saw lately, by its own monotonic clock. Out: bounds by the journal's clock, so that
a wrong clock of a worker does no harm.
"""

from typing import NamedTuple

OVERDUE_S = 2.0
"""An idle replica takes a first attempt that is older than this, in seconds."""
OVERTAKEN_S = 10.0
"""The queue is FIFO: it has passed hops that are this much older than one it delivered."""
IDLE_S = 1.0
"""A replica counts as idle with a slot free and no delivery for this long, in seconds."""
SUSPECT_AFTER = 2
"""A hop whose worker died in this many attempts may be what killed it."""


def suspect_from(max_attempts: int) -> int:
    """Return from which lost attempt on a hop is taken alone; the last attempt always is.

    A hop that kills its process takes its neighbours' attempts along. Of the hops that were lost so
    often a process takes one at a time, so that the deaths that end a run are its own.

    Args:
        max_attempts: The agent's limit, 1 or more.
    """
    return max(1, min(SUSPECT_AFTER, max_attempts - 1))


class Missed(NamedTuple):
    """Which pending first attempts count as missed; either is enough."""

    overdue_s: float | None
    """Those that have been pending for so long, in seconds; None: none."""
    before: float | None
    """Those that became pending before this time of the journal's clock; None: none."""


def missed(quiet_s: float | None, latest_pending_since: float | None) -> Missed:
    """Return which first attempts this replica may take from the journal.

    Source: design §5.7; simulated in the protocol's model (0 to 0.1 % duplicate deliveries).

    Args:
        quiet_s: For how long it has had a slot free and got no delivery; None: it has no slot free.
        latest_pending_since: The latest `pending_since` of a hop that was delivered here; None: of none.
    """
    is_idle = quiet_s is not None and quiet_s >= IDLE_S
    return Missed(
        OVERDUE_S if is_idle else None,
        latest_pending_since - OVERTAKEN_S if latest_pending_since is not None else None,
    )
