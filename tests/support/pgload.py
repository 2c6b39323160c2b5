"""Runs under way on a PostgreSQL journal, for tests that harm it meanwhile.

In: handles on one schema. Out: workers that take every run from the router over `a` and `b` to its answer,
whatever fails on the way; and what has to be true in the end.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence

from baton import ids
from baton.errors import JournalUnavailableError
from baton.journal.records import Accept, Claim
from baton.outcome import Answer, Handoff
from baton.protocol.route import Routed
from baton.request import Request
from tests.support.journal_checks import check
from tests.support.journals import Hand, Rows

LEASE_S = 1.0
"""How long a hop stays with a worker that lost the server in the middle of it."""
AGENTS = ("router", "a", "b")


async def send(hand: Hand, text: str, conversation_id: str | None = None) -> str:
    """Send a request until it is accepted; return its run."""
    fields = {"text": text} if conversation_id is None else {"text": text, "conversation_id": conversation_id}
    command = Accept(run_id=ids.new_run_id(), tenant="default", request=Request.of(fields), key=text)
    while True:
        with contextlib.suppress(JournalUnavailableError):
            return (await hand.journal.accept(command)).run_id


@contextlib.asynccontextmanager
async def working(hands: Sequence[Hand]) -> AsyncIterator[None]:
    """Have each hand work on all that it finds, for as long as the block runs."""
    workers = [asyncio.create_task(_work(hand)) for hand in hands]
    try:
        yield
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


async def _work(hand: Hand) -> None:
    while True:
        for agent in AGENTS:
            with contextlib.suppress(JournalUnavailableError):
                claims = await hand.poll(agent, overdue_s=0.0, lease_s=LEASE_S)
                await asyncio.gather(*(_finish(hand, claim) for claim in claims))


async def _finish(hand: Hand, claim: Claim) -> None:
    """Settle a hop; what fails is found by a poll when its lease has run out."""
    with contextlib.suppress(JournalUnavailableError):
        if claim.agent == "router":
            await hand.finish(claim, Routed("a", "classified", "sure"))
        elif claim.agent == "a":
            await hand.finish(claim, Handoff("b", facts={"by": "a"}))
        else:
            await hand.finish(claim, Answer("done"))


def check_all_done(rows: Rows, count: int) -> None:
    """Check that every run was accepted and answered, once.

    Raises:
        AssertionError: A run is lost, doubled or still going.
    """
    check(rows)
    assert Counter(run["status"] for run in rows["runs"]) == {"completed": count}
    said = Counter((message["run_id"], message["role"]) for message in rows["messages"])
    assert said == {(run["run_id"], role): 1 for run in rows["runs"] for role in ("user", "agent")}
    events = Counter((event["run_id"], event["type"]) for event in rows["events"])
    for run in rows["runs"]:
        assert {kind: events[run["run_id"], kind] for kind in ("accepted", "routed", "answer")} == {
            "accepted": 1,
            "routed": 1,
            "answer": 1,
        }
