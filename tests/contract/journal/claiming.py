"""Claims and leases: one worker at a time, found again when it is gone, never with two owners."""

import asyncio
from dataclasses import replace

import pytest

from baton import ids
from baton.errors import TransientError
from baton.journal.records import Lease, NewEvent
from tests.support.journals import Hand, Harness, a_step, envelope_of


class Claiming:
    async def test_a_claim_gives_all_that_the_hop_needs(self, hand: Hand) -> None:
        accepted = await hand.accept("my card", conversation_id="c1", facts={"a": 1})
        claim = await hand.take(accepted.run_id)
        assert claim.lease == Lease(accepted.run_id, 0, 1)
        assert (claim.agent, claim.attempt, claim.steps, claim.is_suspect) == ("router", 1, (), False)
        assert claim.pending_since <= claim.now
        envelope = envelope_of(claim)
        assert (envelope.run_id, envelope.seq, envelope.agent, envelope.kind) == (accepted.run_id, 0, "router", "route")
        assert (envelope.request_text, envelope.facts) == ("my card", {"a": 1})
        assert (claim.run.facts, claim.run.log_length, claim.run.tenant) == ({"a": 1}, 1, "default")
        assert claim.run.root_run_id == accepted.run_id
        assert await hand.status(accepted.run_id) == "running"

    async def test_a_body_in_hand_that_is_the_hops_needs_no_reading(self, hand: Hand) -> None:
        accepted = await hand.accept("my card")
        await hand.routed(accepted.run_id)
        row = (await hand.harness.rows())["hops"][1]
        assert row["digest"]
        known = await hand.take(accepted.run_id, 1, "a", digest=row["digest"])
        assert (known.head, known.text, known.messages) == (None, None, ())
        await hand.hand_back(known)
        other = await hand.take(accepted.run_id, 1, "a", digest="0" * 64)
        assert envelope_of(other).request_text == "my card"
        assert [message.text for message in other.messages] == ["my card"]

    async def test_a_claim_restores_just_the_messages_that_were_transferred(self, hand: Hand) -> None:
        claim = await hand.at(text="one", conversation_id="c1")
        await hand.ask(claim, "two?")
        await hand.accept("three", conversation_id="c1")
        claim = await hand.take(claim.lease.run_id, 2, "a")
        assert [message.text for message in claim.messages] == ["one", "two?", "three"]
        await hand.hand(claim, "b", transfer=1)
        claim = await hand.take(claim.lease.run_id, 3, "b")
        assert [message.text for message in claim.messages] == ["three"]
        assert envelope_of(claim).request_text == "one"

    async def test_a_claimed_hop_cannot_be_claimed_again(self, hand: Hand, other: Hand, harness: Harness) -> None:
        accepted = await hand.accept()
        await hand.take(accepted.run_id)
        before = await harness.rows()
        assert await hand.claim(accepted.run_id) is None
        assert await other.claim(accepted.run_id) is None
        assert await harness.rows() == before

    async def test_of_many_claims_at_once_one_has_it(self, hand: Hand, other: Hand) -> None:
        accepted = await hand.accept()
        tries = [worker.claim(accepted.run_id) for worker in (hand, other) * 5]
        claims = [claim for claim in await asyncio.gather(*tries) if claim]
        assert len(claims) == 1
        assert (await hand.hop(accepted.run_id, 0)).attempt == 1

    async def test_a_done_hop_a_strangers_hop_and_an_unknown_hop_cannot_be_claimed(self, hand: Hand) -> None:
        accepted = await hand.accept()
        assert await hand.claim(accepted.run_id, 0, "a") is None
        assert await hand.claim(accepted.run_id, 1, "a") is None
        assert await hand.claim(ids.new_run_id()) is None
        await hand.routed(accepted.run_id)
        assert await hand.claim(accepted.run_id, 0) is None

    async def test_a_lease_that_has_run_out_passes_to_the_next_with_a_higher_token(
        self, hand: Hand, other: Hand, harness: Harness
    ) -> None:
        first = await hand.at()
        assert await other.claim(first.lease.run_id, 1, "a") is None
        await harness.expire_lease(first.lease.run_id, 1)
        second = await other.take(first.lease.run_id, 1, "a")
        assert (second.lease.token, second.attempt) == (first.lease.token + 1, 2)
        hop = await hand.hop(first.lease.run_id, 1)
        assert (hop.owner, hop.attempt, hop.status) == ("w2", 2, "running")
        assert [event.type for event in await hand.journal.events(first.lease.run_id)][-1] == "attempt"

    async def test_a_lease_lasts_as_long_as_it_was_claimed_for(self, hand: Hand, other: Hand, harness: Harness) -> None:
        claim = await hand.at()
        await harness.pass_time(25)
        assert await other.claim(claim.lease.run_id, 1, "a") is None
        await harness.pass_time(6)
        assert await other.claim(claim.lease.run_id, 1, "a") is not None

    async def test_a_renewed_lease_lasts_from_its_renewal(self, hand: Hand, other: Hand, harness: Harness) -> None:
        claim = await hand.at()
        for _ in range(3):
            await harness.pass_time(25)
            renewed = await hand.journal.renew([claim.lease], 30.0)
            assert (renewed.held, renewed.stop) == ({claim.lease}, frozenset())
        assert await other.claim(claim.lease.run_id, 1, "a") is None

    async def test_a_renewal_tells_which_leases_are_lost(self, hand: Hand, other: Hand, harness: Harness) -> None:
        kept, taken, done, ended = [await hand.at() for _ in range(4)]
        await harness.expire_lease(taken.lease.run_id, 1)
        await other.take(taken.lease.run_id, 1, "a")
        await hand.answer(done)
        await hand.cancel(ended.lease.run_id)
        await hand.hand(ended, "b")
        leases = [claim.lease for claim in (kept, taken, done, ended)]
        unknown = Lease(ids.new_run_id(), 0, 1)
        renewed = await hand.journal.renew([*leases, unknown, replace(kept.lease, token=9)], 30.0)
        assert renewed.held == {kept.lease}
        assert (await hand.journal.renew([], 30.0)).held == frozenset()

    async def test_the_attempts_of_a_hop_are_counted_by_its_claims(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        await hand.fail(claim, TransientError("later"))
        claim = await hand.take(claim.lease.run_id, 1, "a")
        await harness.expire_lease(claim.lease.run_id, 1)
        assert (await hand.take(claim.lease.run_id, 1, "a")).attempt == 3

    async def test_what_was_handed_back_or_suspended_was_no_attempt(self, hand: Hand) -> None:
        claim = await hand.at()
        run_id = claim.lease.run_id
        await hand.hand_back(claim)
        claim = await hand.take(run_id, 1, "a")
        assert (claim.attempt, claim.lease.token) == (1, 2)
        await hand.approve(claim)
        await hand.reply(run_id, decision="approve")
        assert (await hand.take(run_id, 1, "a")).attempt == 1

    async def test_a_hop_that_used_its_attempts_ends_the_run_at_the_next_claim(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at(conversation_id="c1")
        follower = await hand.accept("two", conversation_id="c1")
        run_id = claim.lease.run_id
        await harness.expire_lease(run_id, 1)
        await hand.take(run_id, 1, "a", max_attempts=2)
        await harness.expire_lease(run_id, 1)
        assert await hand.claim(run_id, 1, "a", max_attempts=2) is None
        result = await hand.journal.result(run_id)
        assert result.error is not None
        assert (result.status, result.error.code, result.agent) == ("failed", "max_attempts", "a")
        assert "failed 2 of 2 attempts; the process died in each of them" in result.error.message
        hop = await hand.hop(run_id, 1)
        assert (hop.status, hop.attempt) == ("failed", 2)
        assert (await hand.hop(follower.run_id, 0)).status == "pending"

    async def test_used_attempts_tell_the_last_error_that_was_recorded(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        await hand.fail(claim, ValueError("odd"))
        await hand.take(claim.lease.run_id, 1, "a", max_attempts=2)
        await harness.expire_lease(claim.lease.run_id, 1)
        assert await hand.claim(claim.lease.run_id, 1, "a", max_attempts=2) is None
        error = (await hand.journal.result(claim.lease.run_id)).error
        assert error is not None
        assert "last: ValueError: odd" in error.message

    async def test_a_cancelled_run_is_cancelled_even_where_its_attempts_are_used(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at()
        await hand.cancel(claim.lease.run_id)
        await harness.expire_lease(claim.lease.run_id, 1)
        assert await hand.claim(claim.lease.run_id, 1, "a", max_attempts=1) is None
        assert await hand.status(claim.lease.run_id) == "cancelled"

    async def test_a_restart_frees_running_hops_at_once_unless_others_serve_too(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at()
        await harness.restart()
        if not harness.has_one_process:
            assert await hand.claim(claim.lease.run_id, 1, "a") is None
            await harness.expire_lease(claim.lease.run_id, 1)
        again = await hand.take(claim.lease.run_id, 1, "a")
        assert (again.attempt, again.lease.token) == (2, 2)

    async def test_a_note_joins_the_timeline_while_the_lease_holds(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        run_id = claim.lease.run_id
        await hand.journal.note(claim.lease, NewEvent("progress", 1, {"n": 1}))
        last = (await hand.journal.events(run_id))[-1]
        assert (last.type, last.seq, last.data) == ("progress", 1, {"n": 1})
        await harness.expire_lease(run_id, 1)
        await hand.take(run_id, 1, "a")
        before = await harness.rows()
        await hand.journal.note(claim.lease, NewEvent("progress", 1, {"n": 2}))
        assert await harness.rows() == before

    @pytest.mark.parametrize("limit", [1, 2, 5])
    async def test_a_poll_takes_no_more_than_it_may(self, hand: Hand, limit: int) -> None:
        for _ in range(3):
            await hand.accept()
        assert len(await hand.poll("router", missed_before=1e12, limit=limit)) == min(limit, 3)

    async def test_an_effect_of_a_step_is_found_by_the_next_claim(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at()
        assert await hand.journal.record(claim.lease, a_step(claim, result=b'{"x":1}'))
        await harness.expire_lease(claim.lease.run_id, 1)
        [step] = (await hand.take(claim.lease.run_id, 1, "a")).steps
        assert (step.scope, step.key, step.status, step.result, step.attempt) == ("1", "k", "done", b'{"x":1}', 1)
