"""The scenarios: those of research/protocol-model.md and two more, each under the protocol as it is designed.

Out: `SCENARIOS`, every one of which must be clean.
"""

from tests.model.rules import Scenario

ROUTE_ANSWER = ("route", "answer!")
RACERS = ("reply 0", "expiry 0", "cancel 0")

SCENARIOS = (
    Scenario("2 hops", (ROUTE_ANSWER,), 3, 2),
    Scenario("retry and early ack", (("route", "flaky!"),), 4, 2, acks_early=True),
    Scenario("3 workers", (ROUTE_ANSWER,), 4, 2, workers=3),
    Scenario("nothing ever published", (ROUTE_ANSWER,), 3, 2, publishes=False),
    Scenario("max_attempts 2", (ROUTE_ANSWER,), 3, 2, max_attempts=2),
    Scenario(
        "3 hops, cancel on a stale snapshot",
        (("route", "handoff", "answer!"),),
        3,
        1,
        clients=("cancel 0",),
        cancels_stale=True,
    ),
    Scenario("approve", (("approve!",),), 4, 1, clients=RACERS),
    Scenario("ask", (("ask", "answer"),), 4, 2, clients=RACERS),
    Scenario("two runs, 1 hop each", (("answer",), ("answer",)), 3, 2, keys=(0, 1)),
    Scenario(
        "two runs, 2 hops and a cancel",
        (("route", "answer"), ("route", "answer")),
        3,
        1,
        keys=(0, 1),
        clients=("cancel 0",),
    ),
    Scenario("two runs, the first asks", (("ask", "answer"), ("answer",)), 2, 1, keys=(0, 1), clients=RACERS),
    Scenario("two runs, the first approves", (("approve",), ("answer",)), 2, 1, keys=(0, 1), clients=RACERS),
    Scenario("three runs", (("answer",),) * 3, 2, 2, keys=(0, 1, 2)),
    Scenario("requests and result addresses", (("route", "answer"),), 2, 2, keys=(0, 0), is_by_broker=True),
    Scenario(
        "a request that answers",
        (("ask", "answer"), ("answer",)),
        2,
        1,
        keys=(0, 1),
        clients=("reply 0",),
        is_by_broker=True,
    ),
    Scenario(
        "a hop that kills its process",
        (("kill",), ("answer",)),
        0,
        0,
        max_attempts=3,
        keys=(0, 1),
        shares_process=True,
    ),
)
