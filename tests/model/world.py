"""A world to explore: a scenario under some rules, with its transactions remembered by what they start from.

In: `Scenario` and `Rules`. Out: the first state, and the journal's transactions; the same journal meets
thousands of queues and workers, so each transaction is worked out once.
"""

from functools import cache, partial

from tests.model import oracle, transactions
from tests.model.rules import DESIGN, Rules, Scenario
from tests.model.state import EACH, IDLE, NOBODY, Hop, HopName, Journal, State


class World:
    """A scenario under some rules.

    Args:
        scenario: Runs, clients and faults.
        rules: The protocol, or a broken one.
    """

    def __init__(self, scenario: Scenario, rules: Rules = DESIGN) -> None:
        self.scenario = scenario
        self.rules = rules
        self.claim = cache(partial(transactions.claim, rules, scenario))
        self.record = cache(partial(transactions.record, rules))
        self.finish = cache(partial(transactions.finish, rules, scenario))
        self.decide = cache(partial(transactions.decide, rules))
        self.cancel = cache(partial(transactions.cancel, rules))
        self.cancel_stale = cache(partial(transactions.cancel_stale, rules))
        self.take_request = cache(partial(transactions.take_request, rules, scenario))
        self.wrongs = cache(partial(oracle.wrongs, scenario))
        self.is_over = cache(oracle.is_over)

    def start(self) -> State:
        """Return the world before anything has happened."""
        scenario = self.scenario
        requests = range(len(scenario.keys))
        by_broker = scenario.is_by_broker
        return State(
            Journal(
                holder=EACH if scenario.shares_process else NOBODY,
                taken=((),) * (max(scenario.keys) + 1),
                addresses=(transactions.UNKNOWN,) * len(requests) if by_broker else (),
            ),
            inbox=tuple(requests) if by_broker else (),
            workers=(IDLE,) * scenario.workers,
            clients=("",) * len(scenario.clients),
        )

    def act(self, name: HopName, hop: Hop, attempt: int) -> str:
        """Return what a hop's turn does now: an act that `decisions.verdict` knows."""
        act = self.scenario.scripts[name[0]][name[1]].rstrip("!")
        if act == "flaky":
            return "raise" if attempt == 1 else "answer"
        if act == "approve" and hop.wait in ("answered", "expired"):
            return "answer"
        return act

    def has_step(self, name: HopName, hop: Hop) -> bool:
        """Return True where the turn comes to its keyed step."""
        does_it_now = self.act(name, hop, 2) != "approve"
        return self.scenario.scripts[name[0]][name[1]].endswith("!") and does_it_now
