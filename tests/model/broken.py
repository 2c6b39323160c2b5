"""The protocol with one rule broken: the same oracle has to catch each, or it proves nothing.

Out: `BROKEN`, those of research/protocol-model.md and two more; `COUNTEREXAMPLES`, earlier wordings of the design.
"""

from typing import NamedTuple

from tests.model.rules import DESIGN, Rules, Scenario
from tests.model.scenarios import SCENARIOS

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
TWO_HOPS = BY_NAME["2 hops"]
STALE_CANCEL = BY_NAME["3 hops, cancel on a stale snapshot"]


class Broken(NamedTuple):
    """A rule broken, where it shows, and what the oracle has to say."""

    name: str
    rules: Rules
    scenario: Scenario
    faults: int
    caught: tuple[str, ...]
    """Broken promises, or `stuck`."""


def _broken(name: str, scenario: Scenario, faults: int, *caught: str, **rules: bool) -> Broken:
    return Broken(name, DESIGN._replace(**rules), scenario, faults, caught)


BROKEN = (
    _broken("no fencing", TWO_HOPS, 2, "effect twice", "step recorded twice", "hop completed twice", fences=False),
    _broken("no run-open guard", STALE_CANCEL, 1, "two terminal states", guards_run=False),
    _broken(
        "ack on receipt, no poll", TWO_HOPS, 2, "stuck", acks_at_end=False, polls_leases=False, polls_pending=False
    ),
    _broken("late ack, no poll", TWO_HOPS, 2, "stuck", polls_leases=False, polls_pending=False),
    _broken("poll that ignores leases", TWO_HOPS, 2, "stuck", polls_leases=False),
    _broken("poll that ignores pending hops", TWO_HOPS, 2, "stuck", polls_pending=False),
    _broken("unguarded batch insert", TWO_HOPS, 2, "effect twice", guards_batch=False),
    _broken(
        "unguarded reply and expiry",
        BY_NAME["ask"],
        1,
        "of reply, expiry and cancel two took effect",
        guards_waits=False,
    ),
    _broken(
        "holder not passed on at cancel",
        BY_NAME["two runs, 2 hops and a cancel"],
        1,
        "stuck",
        passes_on_at_cancel=False,
    ),
    _broken("a new key at each attempt", TWO_HOPS, 1, "keyed effect twice", has_stable_keys=False),
    _broken(
        "suspects that share a process",
        BY_NAME["a hop that kills its process"],
        0,
        "failed by another's deaths",
        isolates_suspects=False,
    ),
    _broken(
        "suspects that messages bring",
        BY_NAME["a hop that kills its process"],
        0,
        "failed by another's deaths",
        leaves_suspects=False,
    ),
)

COUNTEREXAMPLES = (
    _broken(
        "1: keys looked up on runs only",
        BY_NAME["a request that answers"],
        1,
        "request taken twice",
        remembers_replies=False,
    ),
    _broken(
        "2: a finish that looks before it locks",
        BY_NAME["two runs, 1 hop each"],
        1,
        "stuck",
        locks_for_finish=False,
    ),
    _broken("3: cancel on a stale snapshot, token alone", STALE_CANCEL, 0, "two terminal states", guards_run=False),
    _broken("4: a finish that ignores a cancel", BY_NAME["ask"], 0, "accepted cancel ignored", finish_obeys_stop=False),
    _broken(
        "5: an address added without the lock",
        BY_NAME["requests and result addresses"],
        0,
        "stuck",
        locks_for_address=False,
    ),
    _broken("6: a claim adopted by its token", TWO_HOPS, 1, "step recorded twice", has_claim_ids=False),
)
