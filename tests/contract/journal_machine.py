"""Two workers, their clients and bad luck, in any order: whatever happens, nothing is lost or doubled.

An implementation's test module derives from `JournalMachine`, gives it `make_harness`, and runs its `TestCase`.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from baton.errors import IdempotencyConflictError, NotWaitingError, PermanentError, TransientError
from baton.hop.steps import LeaseLost, Suspended
from baton.journal.records import Claim, Finished
from baton.outcome import Answer, Ask, Handoff
from baton.protocol import settle
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
        self.done: set[tuple[str, int]] = set()
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
            self.rows = await self.harness.rows()

        self.do(begin())

    @rule(
        worker=st.integers(0, 1),
        conversation=st.integers(0, 1),
        key=st.sampled_from([None, None, "k0", "k1"]),
        text=st.integers(0, 1),
        deadline_s=st.sampled_from([None, None, 500]),
    )
    def accept(self, worker: int, conversation: int, key: str | None, text: int, deadline_s: float | None) -> None:
        given = {} if deadline_s is None else {"deadline_s": deadline_s}
        try:
            self.do(self.hands[worker].accept(f"text {text}", key=key, conversation_id=f"c{conversation}", **given))
        except IdempotencyConflictError:
            assert key is not None

    @precondition(lambda self: self.rows.get("hops"))
    @rule(worker=st.integers(0, 1), number=any_number, max_attempts=st.sampled_from([2, 6]))
    def claim(self, worker: int, number: int, max_attempts: int) -> None:
        open_hops = [row for row in self.rows["hops"] if row["status"] not in ("done", "failed")] or self.rows["hops"]
        row = open_hops[number % len(open_hops)]
        wish = self.hands[worker].claim(row["run_id"], row["seq"], row["agent"], max_attempts=max_attempts)
        if (claim := self.do(wish)) is not None:
            self.claims.append((self.hands[worker], claim))

    @rule(worker=st.integers(0, 1), agent=st.sampled_from(AGENTS), takes_all=st.booleans(), limit=st.integers(1, 3))
    def poll(self, worker: int, agent: str, takes_all: bool, limit: int) -> None:
        hand = self.hands[worker]
        found = self.do(hand.poll(agent, missed_before=1e12 if takes_all else None, limit=limit))
        self.claims += [(hand, claim) for claim in found]

    def picked(self, number: int) -> tuple[Hand, Claim]:
        return self.claims[-1 - number % min(6, len(self.claims))]

    @precondition(lambda self: self.claims)
    @rule(number=any_number, key=st.sampled_from(["look", "pay"]), breaks=st.booleans())
    def step(self, number: int, key: str, breaks: bool) -> None:
        hand, claim = self.picked(number)

        async def call() -> str:
            if breaks:
                raise ConnectionError("was it done?")
            return key

        async def work() -> None:
            try:
                await hand.steps(claim).call(key, call, (), "unsafe" if key == "pay" else "idempotent", "hop")
            except Suspended as suspended:
                context = await hand.context(claim)
                self.noted(claim, await hand.journal.finish(settle.suspend(context, suspended.wait).finish))
            except (ConnectionError, LeaseLost):
                pass

        self.do(work())

    @precondition(lambda self: self.claims)
    @rule(
        number=any_number,
        how=st.sampled_from(["answer", "hand", "hand", "ask", "approve", "human", "retry", "back", "fail"]),
        deadline_s=st.sampled_from([None, 50.0]),
    )
    def finish(self, number: int, how: str, deadline_s: float | None) -> None:
        hand, claim = self.picked(number)
        if claim.agent == "router":
            finished = self.do(hand.routed_by(claim, "abc"[number % 3]))
        else:
            finished = self.do(self.finished(hand, claim, how, deadline_s))
        self.noted(claim, finished, ends_hop=how not in ("approve", "retry", "back") or claim.agent == "router")

    async def finished(self, hand: Hand, claim: Claim, how: str, deadline_s: float | None) -> Finished:
        outcomes = {
            "answer": Answer("done"),
            "hand": Handoff(GRAPH.allowed(claim.agent)[0], facts={f"at{claim.lease.seq}": claim.lease.token}),
            "human": Handoff("human"),
            "ask": Ask("which?", deadline_s=deadline_s, on_timeout="escalate" if claim.lease.seq % 2 else "fail"),
        }
        if how in outcomes:
            return await hand.finish(claim, outcomes[how])
        if how == "back":
            return await hand.hand_back(claim)
        if how == "approve":
            try:
                return await hand.journal.finish(await hand.suspending(claim, deadline_s=deadline_s))
            except AssertionError:
                return await hand.answer(claim, "approved")
        error = PermanentError("no") if how == "fail" else TransientError("later")
        return await hand.fail(claim, error, delay_s=5.0)

    def noted(self, claim: Claim, finished: Finished, *, ends_hop: bool = False) -> None:
        """Check a finish: one that was fenced or repeated wrote nothing, so that a hop is done once."""
        name = (claim.lease.run_id, claim.lease.seq)
        if finished.outcome == "fenced" or name in self.done:
            assert self.do_rows() == self.rows, f"a finish of {name} that was {finished.outcome} wrote something"
        elif finished.outcome == "applied" and ends_hop:
            self.done.add(name)

    def do_rows(self) -> Rows:
        return self.do(self.harness.rows())

    @precondition(lambda self: any(row["status"] == "running" for row in self.rows.get("hops", ())))
    @rule(number=any_number)
    def expire_lease(self, number: int) -> None:
        running = [row for row in self.rows["hops"] if row["status"] == "running"]
        row = running[number % len(running)]
        self.do(self.harness.expire_lease(row["run_id"], row["seq"]))

    @precondition(lambda self: self.rows.get("waits"))
    @rule(worker=st.integers(0, 1), number=any_number, hands_on=st.booleans())
    def reply(self, worker: int, number: int, hands_on: bool) -> None:
        wait = self.rows["waits"][number % len(self.rows["waits"])]
        try:
            self.do(self.hands[worker].reply(wait["run_id"], wait_id=wait["wait_id"], **answer_to(wait, hands_on)))
            assert wait["status"] == "waiting"
        except NotWaitingError:
            assert wait["status"] != "waiting"

    @precondition(lambda self: self.rows.get("runs"))
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
        after = self.do_rows()
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
