"""The end of an attempt: all of it or nothing, once, and nothing at all from a worker that was replaced."""

import asyncio
from dataclasses import replace

import pytest

from baton import ids
from baton.errors import PermanentError, TransientError
from baton.journal.records import Claim, Finish, Finished, Lease, PendingHop
from baton.outcome import Answer, Ask, Handoff
from baton.protocol import settle
from tests.support.journals import Hand, Harness, envelope_of

FENCED = Finished("fenced")


async def every_finish(hand: Hand, claim: Claim) -> list[Finish]:
    """Return every kind of end that a worker may write for a hop."""
    context = await hand.context(claim)
    return [
        settle.settle(context, Answer("zombie", data={"x": 1})).finish,
        settle.settle(context, Handoff("b", facts={"zombie": 1})).finish,
        settle.settle(context, Handoff("human")).finish,
        settle.settle(context, Ask("zombie?")).finish,
        settle.settle_error(context, TransientError("zombie"), 0.0).finish,
        settle.settle_error(context, PermanentError("zombie"), 0.0).finish,
        settle.hand_back(claim.lease, since=claim.now).finish,
        await hand.suspending(claim),
    ]


class Finishing:
    async def test_a_handoff_writes_facts_and_the_next_hop_at_once(self, hand: Hand) -> None:
        claim = await hand.at(conversation_id="c1")
        run_id = claim.lease.run_id
        finished = await hand.hand(claim, "b", facts={"card": "frozen"}, reason="payment")
        assert finished == Finished("applied", (PendingHop(run_id, 2, "b", "a"),))
        assert (await hand.hop(run_id, 1)).status == "done"
        following = await hand.hop(run_id, 2)
        assert (following.status, following.agent, following.from_agent, following.attempt) == ("pending", "b", "a", 0)
        result = await hand.journal.result(run_id)
        assert (result.status, result.agent, result.facts) == ("running", "b", {"card": "frozen"})
        assert result.trail == ("router", "a", "b")
        assert envelope_of(await hand.take(run_id, 2, "b")).reason == "payment"

    async def test_an_answer_ends_the_run_with_its_result(self, hand: Hand) -> None:
        claim = await hand.at(conversation_id="c1")
        finished = await hand.answer(claim, "frozen", data={"card": 7})
        assert finished == Finished("applied", (), (claim.lease.run_id,))
        result = await hand.journal.result(claim.lease.run_id)
        assert (result.status, result.text, result.data, result.agent) == ("completed", "frozen", {"card": 7}, "a")
        assert (result.error, result.question, result.has_ended) == (None, None, True)
        [_, message] = await hand.journal.history("default", "c1")
        assert (message.role, message.name, message.text, message.data) == ("agent", "a", "frozen", {"card": 7})
        run = await hand.journal.run(claim.lease.run_id)
        assert run.ended_at is not None
        assert run.ended_at >= run.accepted_at

    async def test_a_failure_ends_the_run_with_its_error(self, hand: Hand) -> None:
        claim = await hand.at()
        await hand.fail(claim, PermanentError("closed"))
        result = await hand.journal.result(claim.lease.run_id)
        assert result.error is not None
        assert (result.status, result.error.code, result.error.message, result.text) == (
            "failed",
            "permanent",
            "closed",
            None,
        )
        hop = await hand.hop(claim.lease.run_id, 1)
        assert hop.error == result.error
        assert hop.status == "failed"

    async def test_a_finish_takes_effect_once_and_says_the_same_when_repeated(
        self, hand: Hand, harness: Harness
    ) -> None:
        for number in range(8):
            claim = await hand.at()
            finish = (await every_finish(hand, claim))[number]
            first = await hand.journal.finish(finish)
            assert first.outcome == "applied"
            before = await harness.rows()
            again = await hand.journal.finish(finish)
            assert (again.outcome, again.publish) == ("applied", first.publish)
            assert await harness.rows() == before

    @pytest.mark.parametrize("number", range(8))
    async def test_a_replaced_worker_writes_nothing_at_all(
        self, hand: Hand, other: Hand, harness: Harness, number: int
    ) -> None:
        zombie = await hand.at(conversation_id="c1")
        finish = (await every_finish(hand, zombie))[number]
        await harness.expire_lease(zombie.lease.run_id, 1)
        second = await other.take(zombie.lease.run_id, 1, "a")
        before = await harness.rows()
        assert await hand.journal.finish(finish) == FENCED
        assert await harness.rows() == before
        await other.hand(second, "b")
        after = await harness.rows()
        assert await hand.journal.finish(finish) == FENCED
        assert await harness.rows() == after

    async def test_one_finish_of_several_different_ones_takes_effect(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(conversation_id="c1")
        finishes = [
            await hand.settled(claim, Answer("first")),
            await hand.settled(claim, Handoff("b")),
            settle.settle_error(await hand.context(claim), PermanentError("no"), 0.0).finish,
        ]
        seen = await asyncio.gather(*(hand.journal.finish(finish) for finish in finishes))
        assert [finished.outcome for finished in seen] == ["applied", "fenced", "fenced"]
        assert await hand.status(claim.lease.run_id) == "completed"
        assert len(await hand.journal.hops(claim.lease.run_id)) == 2

    async def test_a_finish_of_an_unknown_hop_or_token_is_fenced(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        finish = await hand.settled(claim, Answer("done"))
        before = await harness.rows()
        for lease in (
            Lease(ids.new_run_id(), 1, 1),
            replace(claim.lease, token=2),
            replace(claim.lease, token=0),
            replace(claim.lease, seq=0),
            replace(claim.lease, seq=5),
        ):
            assert (await hand.journal.finish(replace(finish, lease=lease))) == FENCED
        assert await harness.rows() == before

    async def test_a_worker_whose_lease_ran_out_may_finish_until_another_has_the_hop(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at()
        await harness.expire_lease(claim.lease.run_id, 1)
        assert (await hand.answer(claim)).outcome == "applied"

    async def test_a_retry_is_due_after_its_delay_and_keeps_its_error(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        run_id = claim.lease.run_id
        assert await hand.fail(claim, ValueError("odd"), delay_s=20.0) == Finished("applied")
        hop = await hand.hop(run_id, 1)
        assert (hop.status, hop.attempt, hop.error and hop.error.message) == ("pending", 1, "ValueError: odd")
        assert await hand.claim(run_id, 1, "a") is None
        assert await hand.poll("a") == []
        await harness.pass_time(21)
        [again] = await hand.poll("a")
        assert (again.lease.seq, again.attempt) == (1, 2)
        assert await hand.status(run_id) == "running"

    async def test_events_are_numbered_without_a_gap_and_can_be_read_from_any(self, hand: Hand) -> None:
        claim = await hand.at()
        run_id = claim.lease.run_id
        await hand.hand_back(claim)
        await hand.ask(await hand.take(run_id, 1, "a"))
        await hand.reply(run_id, "yes")
        await hand.hand(await hand.take(run_id, 2, "a"), "human")
        await hand.reply(run_id, "settled", by="ann")
        events = await hand.journal.events(run_id)
        assert [event.number for event in events] == list(range(1, len(events) + 1))
        assert [event.type for event in events] == [
            "accepted",
            "routed",
            "handoff",
            "handed_back",
            "ask",
            "resumed",
            "handoff",
            "resumed",
            "completed",
        ]
        assert [event.at for event in events] == sorted(event.at for event in events)
        assert await hand.journal.events(run_id, after=7) == events[7:]
        assert await hand.journal.events(run_id, after=99) == []

    async def test_a_long_conversation_stores_each_message_once_however_many_hops_carry_it(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at(conversation_id="c1", max_hops=100)
        for n in range(12):
            agent = "ab"[(n + 1) % 2]
            await hand.hand(claim, agent)
            claim = await hand.take(claim.lease.run_id, n + 2, agent)
        await hand.answer(claim)
        rows = await harness.rows()
        assert len(rows["messages"]) == 2
        assert all(b"hello" not in bytes(row["head"]) for row in rows["hops"])
