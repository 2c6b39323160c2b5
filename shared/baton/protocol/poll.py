"""When a replica may take a first attempt from the journal that the broker should have delivered.

In: what the replica saw lately. Out: a time; hops that became pending before it count as missed.
"""

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


def missed_before(
    now: float, *, free_since: float | None, delivered_at: float | None, latest_pending_since: float | None
) -> float | None:
    """Return the time before which pending first attempts count as missed; None: take none.

    Source: design §5.7; simulated in the protocol's model (0 to 0.1 % duplicate deliveries).

    Args:
        now: The journal's clock.
        free_since: Since when this replica has had a slot free all the time; None: it has none.
        delivered_at: When the broker delivered last; None: never.
        latest_pending_since: The latest `pending_since` of a hop that was delivered here.
    """
    quiet_since = max(free_since, delivered_at or 0.0) if free_since is not None else None
    idle = now - OVERDUE_S if quiet_since is not None and now - quiet_since >= IDLE_S else None
    overtaken = latest_pending_since - OVERTAKEN_S if latest_pending_since is not None else None
    bounds = [bound for bound in (idle, overtaken) if bound is not None]
    return max(bounds) if bounds else None
