"""What makes a world: the rules of the protocol, each of which can be broken, and a scenario."""

from typing import NamedTuple


class Rules(NamedTuple):
    """The protocol of design.md §5; any one of them changed breaks it."""

    fences: bool = True
    """Step and finish are guarded by the token (§5.0)."""
    guards_run: bool = True
    """They are guarded by the run being open, too (§5.0)."""
    guards_batch: bool = True
    """What a finish inserts comes from the rows that its guard returned (group commit)."""
    guards_waits: bool = True
    """Reply, expiry and cancel only decide a wait that still is one (§5.8)."""
    passes_on_at_cancel: bool = True
    """A cancel passes the conversation on (§5.1)."""
    acks_at_end: bool = True
    """A delivery is acked after the finish and the publish (§5.6); else on receipt."""
    polls_leases: bool = True
    """The poll takes hops whose lease ran out (§5.7)."""
    polls_pending: bool = True
    """The poll takes pending hops (§5.7)."""
    has_claim_ids: bool = True
    """After a lost COMMIT reply a claim is mine if the row holds its claim id (§5.3); else by its token."""
    finish_obeys_stop: bool = True
    """A finish that finds a cancel commits `cancelled` instead of its next hop, wait or retry (§5.9)."""
    locks_for_address: bool = True
    """A repeated request adds its address under the run row's lock (§4)."""
    remembers_replies: bool = True
    """A key is recorded whatever its message became (§4); else for runs only."""
    has_stable_keys: bool = True
    """A keyed effect has the same key on every attempt (§2)."""
    isolates_suspects: bool = True
    """Of the hops that may have killed their process it takes one at a time (`protocol.poll`)."""
    leaves_suspects: bool = True
    """A message never brings such a hop (`ClaimCommand.takes_suspect`)."""
    locks_for_finish: bool = True
    """A finish looks for who is next after it has locked the conversation (§5.0)."""


DESIGN = Rules()


class Scenario(NamedTuple):
    """Runs, clients and the budget of faults."""

    name: str
    scripts: tuple[tuple[str, ...], ...]
    """By run, what each of its hops does: `route`, `handoff`, `answer`, `ask`, `approve`, `flaky`, `kill`; `!` after an
    act: it has a keyed step with an effect first."""
    faults: int
    """Of the long exploration."""
    quick_faults: int
    """Of the one in `make test`."""
    workers: int = 2
    max_attempts: int = 6
    clients: tuple[str, ...] = ()
    """`reply 0`, `expiry 0`, `cancel 0`: what may happen to a run, once."""
    keys: tuple[int, ...] = (0,)
    """By request, its key; those of one key are repetitions of one another, each with an address of its own."""
    is_by_broker: bool = False
    """Requests come by `baton.requests`; else clients write them into the journal, in this order."""
    acks_early: bool = False
    """A delivery may be acked once its hop is claimed."""
    publishes: bool = True
    """False: the broker is dead, and every publish fails."""
    cancels_stale: bool = False
    """A cancel decides on what it saw before it had the lock."""
    shares_process: bool = False
    """All workers are slots of one process, and each run has a conversation of its own."""
    has_net: bool = False
    """The router's poll passes on a conversation whose holder is gone; off, so that each end has to do it."""
