"""What a poll may find in the journal (design §5.7).

In: a state. Out: the hops that a replica with a free slot may claim now. Time is free, so whatever could
be due may be the only thing that is.
"""

from collections.abc import Iterator

from tests.model.decisions import is_missed, is_suspect
from tests.model.state import Hop, HopName, State
from tests.model.world import World

QUIET_S = 60.0
"""How long a hop may be pending and a replica without work, in seconds."""


def claimable(state: State, name: HopName) -> bool:
    """Return True for an open run's hop that is pending, or whose lease nobody alive has."""
    run = state.journal.runs[name[0]]
    status = run.hops[name[1]].status
    return run.status == "open" and (status == "pending" or (status == "running" and not state.leased(name)))


def polled(world: World, state: State) -> Iterator[HopName]:
    """Yield the hops that a poll may find."""
    rules = world.rules
    for number, run in enumerate(state.journal.runs):
        for seq, hop in enumerate(run.hops):
            if not claimable(state, (number, seq)):
                continue
            if hop.status == "running":
                found = rules.polls_leases and _may_be_tried(world, state, hop.attempt)
            else:
                found = rules.polls_pending and (hop.awaits_poll or is_missed(QUIET_S, QUIET_S))
            if found:
                yield number, seq


def may_come_by_message(world: World, hop: Hop) -> bool:
    """Return False for a hop that may have killed its process: only the poll takes it, one at a time."""
    is_lost = hop.status == "running"
    return not (world.rules.leaves_suspects and is_lost and is_suspect(hop.attempt, world.scenario.max_attempts))


def _may_be_tried(world: World, state: State, attempt: int) -> bool:
    """Return True for a lost hop that may share its process with those that are at work in it."""
    if not world.scenario.shares_process or not world.rules.isolates_suspects:
        return True
    limit = world.scenario.max_attempts
    return not (
        is_suspect(attempt, limit) and any(w.attempt and is_suspect(w.attempt - 1, limit) for w in state.workers)
    )
