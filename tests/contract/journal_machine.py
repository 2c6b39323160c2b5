"""Two workers, their clients and bad luck, in any order: whatever happens, nothing is lost or doubled.

An implementation's test module derives from `JournalMachine`, gives it `make_harness`, and runs its `TestCase`.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from baton.errors import IdempotencyConflictError, NotWaitingError, PermanentError, TransientError
from baton.hop.steps import LeaseLost, Suspended
from baton.journal.records import Claim, Finish, Lease
from baton.outcome import Answer, Ask, Handoff
from baton.protocol import settle
from baton.protocol.route import Routed
from tests.support.journal_checks import ENDED, check, check_change
from tests.support.journals import GRAPH, Hand, Rows

T = TypeVar("T")

AGENTS = ("router", "a", "b", "c")
any_number = st.integers(0, 999)


class JournalMachine(RuleBasedStateMachine):
    """Interleaves everything that two workers and their clients may do."""

    make_harness: Callable[[], Any]

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.claims: list[tuple[Hand, Claim]] = []
        self.rows: Rows = {}

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    @initialize()
    def start(self) -> None:
        self.harness = type(self).make_harness()

        async def begin() -> None:
            await self.harness.start()
            self.hands = (Hand(self.harness), Hand(self.harness, "w2", await self.harness.second()))
            for card in GRAPH.cards.values():
                await self.hands[0].journal.register(card)
            self.claims.append((self.hands[0], await self.hands[0].at(conversation_id="c0")))
            self.rows = await self.harness.rows()

        self.do(begin())

    @rule(
        worker=st.integers(0, 1),
        conversation=st.sampled_from(["c0", "c0", "c1"]),
        key=st.sampled_from([None, None, "k0", "k1"]),
        text=st.integers(0, 1),
        deadline_s=st.sampled_from([None, None, 500]),
    )
    def accept(self, worker: int, conversation: str, key: str | None, text: int, deadline_s: float | None) -> None:
        given = {} if deadline_s is None else {"deadline_s": deadline_s}
        try:
            self.do(self.hands[worker].accept(f"text {text}", key=key, conversation_id=conversation, **given))
        except IdempotencyConflictError:
            assert key is not None

    @rule(worker=st.integers(0, 1))
    def route_all(self, worker: int) -> None:
        for claim in self.do(self.hands[worker].poll("router", missed_before=1e12)):
            finished = self.do(self.hands[worker].routed_by(claim, "abc"[claim.lease.token % 3]))
            assert finished.outcome in ("applied", "cancelled")

    @rule(worker=st.integers(0, 1), agent=st.sampled_from("abc"), takes_all=st.booleans(), limit=st.integers(1, 3))
    def poll(self, worker: int, agent: str, takes_all: bool, limit: int) -> None:
        hand, now = self.hands[worker], time.time()
        found = self.do(hand.poll(agent, missed_before=1e12 if takes_all else None, limit=limit))
        for claim in found:
            assert self.is_due(self.hop(claim.lease), now), f"{claim.lease} was taken too early"
        self.claims += [(hand, claim) for claim in found]

    @rule(worker=st.integers(0, 1), number=any_number, max_attempts=st.sampled_from([2, 6, 6]))
    def claim(self, worker: int, number: int, max_attempts: int) -> None:
        open_hops = [row for row in self.rows["hops"] if row["status"] not in ("done", "failed")] or self.rows["hops"]
        row, now = open_hops[-1 - number % len(open_hops)], time.time()
        wish = self.hands[worker].claim(row["run_id"], row["seq"], row["agent"], max_attempts=max_attempts)
        if (claim := self.do(wish)) is not None:
            assert self.is_due(row, now), f"{claim.lease} was taken too early"
            self.claims.append((self.hands[worker], claim))

    @rule(number=any_number)
    def steal(self, number: int) -> None:
        """Let a lease run out and the other worker have the hop; the first does not know."""
        hand, claim = self.picked(number)
        lease = claim.lease
        if self.is_mine(lease):
            other = self.hands[hand is self.hands[0]]
            self.do(self.harness.expire_lease(lease.run_id, lease.seq))
            if (stolen := self.do(other.claim(lease.run_id, lease.seq, claim.agent))) is not None:
                self.claims.append((other, stolen))

    def hop(self, lease: Lease) -> dict[str, Any]:
        return next(row for row in self.rows["hops"] if (row["run_id"], row["seq"]) == (lease.run_id, lease.seq))

    def run(self, lease: Lease) -> dict[str, Any]:
        return next(row for row in self.rows["runs"] if row["run_id"] == lease.run_id)

    @staticmethod
    def is_due(hop: dict[str, Any], now: float) -> bool:
        return hop["status"] in ("pending", "running") and hop["due_at"] <= now + 1.0

    def is_mine(self, lease: Lease) -> bool:
        """Whether a worker may still write for a hop."""
        hop = self.hop(lease)
        return (hop["status"], hop["token"]) == ("running", lease.token) and self.run(lease)["status"] not in ENDED

    def picked(self, number: int) -> tuple[Hand, Claim]:
        return self.claims[-1 - number % min(4, len(self.claims))]

    @rule(number=any_number, key=st.sampled_from(["look", "pay"]), breaks=st.booleans())
    def step(self, number: int, key: str, breaks: bool) -> None:
        hand, claim = self.picked(number)
        may_write = self.is_mine(claim.lease) and self.run(claim.lease)["stop"] is None

        async def call() -> str:
            if breaks:
                raise ConnectionError("was it done?")
            return key

        async def work() -> None:
            try:
                await hand.steps(claim).call(key, call, (), "unsafe" if key == "pay" else "idempotent", "hop")
                assert may_write or any(step.key == key for step in claim.steps), "a zombie recorded a step"
            except Suspended as suspended:
                context = await hand.context(claim)
                await self.written(hand, claim, settle.suspend(context, suspended.wait).finish)
            except LeaseLost:
                assert not may_write
            except ConnectionError:
                pass

        self.do(work())

    @rule(
        number=any_number,
        how=st.sampled_from(["answer", "hand", "hand", "ask", "approve", "human", "retry", "back", "fail"]),
        deadline_s=st.sampled_from([None, 50.0]),
    )
    def finish(self, number: int, how: str, deadline_s: float | None) -> None:
        hand, claim = self.picked(number)

        async def work() -> None:
            await self.written(hand, claim, await self.decided(hand, claim, how, deadline_s))

        self.do(work())

    async def decided(self, hand: Hand, claim: Claim, how: str, deadline_s: float | None) -> Finish:
        if claim.agent == "router":
            return await hand.settled(claim, Routed("a", "classified", "sure"))
        outcomes = {
            "answer": Answer("done"),
            "hand": Handoff(GRAPH.allowed(claim.agent)[0], facts={f"at{claim.lease.seq}": claim.lease.token}),
            "human": Handoff("human"),
            "ask": Ask("which?", deadline_s=deadline_s, on_timeout="escalate" if claim.lease.seq % 2 else "fail"),
        }
        if how in outcomes:
            return await hand.settled(claim, outcomes[how])
        if how == "back":
            return settle.hand_back(claim.lease, since=claim.now).finish
        if how == "approve":
            try:
                return await hand.suspending(claim, deadline_s=deadline_s)
            except AssertionError:
                return await hand.settled(claim, Answer("approved"))
        error = PermanentError("no") if how == "fail" else TransientError("later")
        return settle.settle_error(await hand.context(claim), error, 5.0).finish

    async def written(self, hand: Hand, claim: Claim, finish: Finish) -> None:
        """Write a finish, and check that it takes effect exactly where it may."""
        is_mine, is_stopped = self.is_mine(claim.lease), self.run(claim.lease)["stop"] is not None
        is_lossy, before = self.harness.loses_next_reply, await self.harness.rows()
        finished = await hand.journal.finish(finish)
        if not is_mine:
            assert await self.harness.rows() == before, f"a finish that was {finished.outcome} wrote something"
        elif not is_lossy:
            expected = "cancelled" if is_stopped and finish.end is None else "applied"
            assert finished.outcome == expected

    @precondition(lambda self: self.rows.get("waits"))
    @rule(worker=st.integers(0, 1), number=any_number, hands_on=st.booleans())
    def reply(self, worker: int, number: int, hands_on: bool) -> None:
        wait = self.rows["waits"][-1 - number % len(self.rows["waits"])]
        try:
            self.do(self.hands[worker].reply(wait["run_id"], wait_id=wait["wait_id"], **answer_to(wait, hands_on)))
            assert wait["status"] == "waiting"
        except NotWaitingError:
            assert wait["status"] != "waiting"

    @rule(worker=st.integers(0, 1), number=any_number)
    def cancel(self, worker: int, number: int) -> None:
        self.do(self.hands[worker].cancel(self.rows["runs"][number % len(self.rows["runs"])]["run_id"]))

    @rule(worker=st.integers(0, 1))
    def sweep(self, worker: int) -> None:
        self.do(self.hands[worker].journal.sweep())

    @rule(seconds=st.sampled_from([10.0, 60.0]))
    def pass_time(self, seconds: float) -> None:
        self.do(self.harness.pass_time(seconds))

    @rule()
    def lose_next_commit_reply(self) -> None:
        self.harness.lose_next_commit_reply()

    @rule()
    def restart(self) -> None:
        self.do(self.harness.restart())

    @invariant()
    def nothing_is_lost_doubled_or_out_of_order(self) -> None:
        if not self.rows:
            return
        after = self.do(self.harness.rows())
        check(after)
        check_change(self.rows, after)
        self.rows = after

    def teardown(self) -> None:
        try:
            if self.rows:
                self.do(self.heal(stops_at_waits=True))
                self.do(self.heal(stops_at_waits=False))
        finally:
            self.do(self.harness.close())
            self.runner.close()

    async def heal(self, *, stops_at_waits: bool) -> None:
        """Let everything go on without further bad luck until nothing moves, and check that all came to an end."""
        hand = self.hands[0]
        for _ in range(300):
            rows = await self.harness.rows()
            check(rows)
            standing = {"waiting"} if stops_at_waits else set()
            going = [row for row in rows["runs"] if row["status"] not in ENDED | standing]
            if not going:
                return
            await self.harness.pass_time(40.0)
            await hand.journal.sweep()
            if not stops_at_waits:
                for wait in [row for row in rows["waits"] if row["status"] == "waiting"]:
                    await answered(hand, wait)
            for agent in AGENTS:
                for claim in await hand.poll(agent, missed_before=1e12):
                    await (hand.routed_by(claim) if agent == "router" else hand.answer(claim))
        raise AssertionError(f"still going: {going}")


async def answered(hand: Hand, wait: dict[str, Any]) -> None:
    """Answer a wait, unless its run has ended meanwhile."""
    with contextlib.suppress(NotWaitingError):
        await hand.reply(wait["run_id"], wait_id=wait["wait_id"], **answer_to(wait, hands_on=False))


def answer_to(wait: dict[str, Any], hands_on: bool) -> dict[str, Any]:
    """Return an answer that a wait of this kind takes."""
    if wait["kind"] == "human" and hands_on:
        return {"handoff": "b"}
    return {"decision": "approve"} if wait["kind"] in ("approval", "review") else {"text": "yes"}
