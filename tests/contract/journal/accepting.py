"""Accepting: a request becomes a run, a reply, or nothing new; addresses get what they wait for."""

import pytest

from baton import ids
from baton.errors import IdempotencyConflictError, RequestError
from baton.journal.records import Accept, PendingHop
from baton.journal.views import RunFilter
from baton.request import Request
from tests.support.journals import Hand, Harness, Rows


def deliveries(rows: Rows) -> list[tuple[str, str, bool]]:
    """Return address, correlation and whether it is a question, of each delivery."""
    return sorted((row["reply_to"], row["correlation_id"], row["wait_id"] is not None) for row in rows["deliveries"])


class Accepting:
    async def test_a_request_becomes_a_run_whose_hop_0_is_to_be_published(self, hand: Hand) -> None:
        accepted = await hand.accept("my card", conversation_id="c1")
        assert (accepted.took, accepted.is_new, accepted.conversation_id) == ("run", True, "c1")
        assert accepted.publish == (PendingHop(accepted.run_id, 0, "router"),)
        run = await hand.journal.run(accepted.run_id)
        assert (run.status, run.text, run.conversation_id, run.tenant) == ("queued", "my card", "c1", "default")
        assert [event.type for event in await hand.journal.events(accepted.run_id)] == ["accepted"]
        assert await hand.said("c1") == ["my card"]

    async def test_a_request_without_a_conversation_starts_one_of_its_own(self, hand: Hand) -> None:
        accepted = await hand.accept()
        assert accepted.conversation_id == accepted.run_id
        assert await hand.said(accepted.run_id) == ["hello"]

    async def test_a_repeated_key_is_the_same_run_and_writes_nothing(self, hand: Hand, harness: Harness) -> None:
        first = await hand.accept("my card", key="k1", facts={"a": 1, "b": 2})
        before = await harness.rows()
        again = await hand.accept("my card", key="k1", facts={"b": 2, "a": 1})
        assert (again.run_id, again.conversation_id, again.took) == (first.run_id, first.conversation_id, "run")
        assert (again.is_new, again.publish) == (False, ())
        assert await harness.rows() == before

    async def test_a_repeated_key_is_the_same_run_after_it_has_ended(self, hand: Hand) -> None:
        accepted = await hand.accept(key="k1")
        await hand.routed(accepted.run_id)
        await hand.answer(await hand.take(accepted.run_id, 1, "a"))
        again = await hand.accept(key="k1")
        assert (again.run_id, again.is_new) == (accepted.run_id, False)
        assert await hand.status(accepted.run_id) == "completed"

    @pytest.mark.parametrize(
        "other", [{"text": "no"}, {"facts": {"a": 1}}, {"to": "a"}, {"deadline_s": 1.0}, {"conversation_id": "c2"}]
    )
    async def test_a_key_used_for_another_body_is_a_conflict_and_writes_nothing(
        self, hand: Hand, harness: Harness, other: dict[str, object]
    ) -> None:
        await hand.accept(key="k1", conversation_id="c1")
        before = await harness.rows()
        with pytest.raises(IdempotencyConflictError, match="'k1' was used before with another body"):
            await hand.accept(**{"text": "hello", "conversation_id": "c1", **other}, key="k1")  # type: ignore[arg-type]
        assert await harness.rows() == before

    async def test_keys_are_each_tenants_own(self, hand: Hand) -> None:
        one = await hand.accept("one", key="k1", tenant="bank")
        other = await hand.accept("other", key="k1", tenant="shop")
        assert other.is_new
        assert other.run_id != one.run_id

    async def test_without_a_key_equal_requests_are_runs_of_their_own(self, hand: Hand) -> None:
        assert len({(await hand.accept("same")).run_id for _ in range(3)}) == 3

    async def test_a_run_id_is_accepted_once(self, hand: Hand, harness: Harness) -> None:
        run_id = ids.new_run_id()
        assert (await hand.accept(run_id=run_id)).run_id == run_id
        before = await harness.rows()
        assert (await hand.accept(run_id=run_id)).publish == ()
        assert await harness.rows() == before

    async def test_a_conversation_belongs_to_its_tenant(self, hand: Hand) -> None:
        await hand.accept("of the bank", tenant="bank", conversation_id="c1", facts={"who": "bank"})
        shop = await hand.accept("of the shop", tenant="shop", conversation_id="c1")
        assert await hand.said("c1", "bank") == ["of the bank"]
        assert await hand.said("c1", "shop") == ["of the shop"]
        assert (await hand.journal.result(shop.run_id)).facts == {}
        assert shop.publish != ()

    async def test_a_requests_facts_join_those_of_its_conversation(self, hand: Hand) -> None:
        claim = await hand.at(conversation_id="c1", facts={"a": 1, "b": 1})
        await hand.answer(claim)
        second = await hand.accept(conversation_id="c1", facts={"b": None, "c": 2})
        assert (await hand.journal.result(second.run_id)).facts == {"a": 1, "c": 2}
        assert (await hand.take(second.run_id)).run.facts == {"a": 1, "c": 2}

    async def test_facts_that_grow_too_large_end_the_run_and_say_so(self, hand: Hand) -> None:
        await hand.answer(await hand.at(conversation_id="c1", facts={"a": "x" * 40_000}))
        over = await hand.accept(conversation_id="c1", facts={"b": "x" * 40_000})
        result = await hand.journal.result(over.run_id)
        assert result.error is not None
        assert (result.status, result.error.code) == ("failed", "facts")
        assert "at most 65536" in result.error.message
        after = await hand.accept("next", conversation_id="c1")
        assert (after.publish, await hand.status(after.run_id)) == ((PendingHop(after.run_id, 0, "router"),), "queued")

    async def test_what_a_client_gives_beside_the_request_stays_with_the_run(self, hand: Hand) -> None:
        command = Accept(
            run_id=ids.new_run_id(),
            tenant="bank",
            request=Request.of({"text": "hi", "to": "a", "deadline_s": 60}),
            traceparent="00-aa-bb-01",
            tracestate="x=1",
            batch="b1",
            max_hops=3,
        )
        accepted = await hand.journal.accept(command)
        [hop] = accepted.publish
        assert (hop.tenant, hop.traceparent, hop.tracestate) == ("bank", "00-aa-bb-01", "x=1")
        claim = await hand.take(accepted.run_id)
        assert (claim.traceparent, claim.tracestate) == ("00-aa-bb-01", "x=1")
        assert claim.run.request["to"] == "a"
        assert claim.run.deadline_at is not None
        assert 0 < claim.run.deadline_at - claim.now <= 60
        assert (await hand.context(claim)).envelope.budget.max_hops == 3
        assert [run.run_id for run in await hand.journal.runs(RunFilter(batch="b1"))] == [accepted.run_id]

    async def test_a_deadline_counts_from_the_acceptance(self, hand: Hand) -> None:
        run = await hand.journal.run((await hand.accept(deadline_s=7.0)).run_id)
        assert run.deadline_at == pytest.approx(run.accepted_at + 7.0)

    async def test_the_result_goes_to_every_address_once(self, hand: Hand, harness: Harness) -> None:
        accepted = await hand.accept(key="k1", reply_to="q1", correlation_id="x")
        await hand.accept(key="k1", reply_to="q2")
        await hand.accept(key="k1", reply_to="q1", correlation_id="x")
        await hand.accept(key="k1", reply_to="q1", correlation_id="y")
        await hand.routed(accepted.run_id)
        assert deliveries(await harness.rows()) == []
        await hand.answer(await hand.take(accepted.run_id, 1, "a"))
        expected = [("q1", "x", False), ("q1", "y", False), ("q2", "", False)]
        assert deliveries(await harness.rows()) == expected

    async def test_an_address_that_comes_after_the_end_is_answered_at_once(self, hand: Hand, harness: Harness) -> None:
        accepted = await hand.accept(key="k1")
        await hand.cancel(accepted.run_id)
        assert deliveries(await harness.rows()) == []
        await hand.accept(key="k1", reply_to="late")
        await hand.accept(key="k1", reply_to="late")
        assert deliveries(await harness.rows()) == [("late", "", False)]

    async def test_a_question_to_the_user_goes_to_the_addresses_and_one_to_a_person_does_not(
        self, hand: Hand, harness: Harness
    ) -> None:
        asking, approving = [await hand.accept(text, reply_to=text) for text in ("ask", "approve")]
        for accepted in (asking, approving):
            await hand.routed(accepted.run_id)
        await hand.ask(await hand.take(asking.run_id, 1, "a"))
        await hand.approve(await hand.take(approving.run_id, 1, "a"))
        assert deliveries(await harness.rows()) == [("ask", "", True)]

    async def test_a_request_to_a_conversation_that_waits_for_its_user_is_the_reply(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at(conversation_id="c1")
        await hand.ask(claim, "which card?")
        reply = await hand.accept("visa", key="k2", conversation_id="c1", facts={"card": "visa"}, reply_to="q")
        assert (reply.took, reply.is_new, reply.run_id) == ("reply", True, claim.lease.run_id)
        assert [(hop.seq, hop.agent) for hop in reply.publish] == [(2, "a")]
        resumed = await hand.take(claim.lease.run_id, 2, "a")
        context = await hand.context(resumed)
        assert (context.envelope.reply, context.facts) == ("visa", {"card": "visa"})
        assert await hand.said("c1") == ["hello", "which card?", "visa"]
        await hand.answer(resumed)
        assert deliveries(await harness.rows()) == [("q", "", False)]

    async def test_a_reply_whose_facts_are_too_large_is_rejected_and_the_wait_stays_open(
        self, hand: Hand, harness: Harness
    ) -> None:
        claim = await hand.at(conversation_id="c1", facts={"a": "x" * 40_000})
        await hand.ask(claim)
        before = await harness.rows()
        with pytest.raises(RequestError, match="at most 65536") as caught:
            await hand.accept("visa", key="k2", conversation_id="c1", facts={"b": "x" * 40_000})
        assert caught.value.field == "facts"
        assert await harness.rows() == before

    async def test_a_request_to_a_conversation_that_waits_for_a_person_is_a_run_of_its_own(self, hand: Hand) -> None:
        claim = await hand.at(conversation_id="c1")
        await hand.approve(claim)
        second = await hand.accept("meanwhile", conversation_id="c1")
        assert (second.took, second.run_id != claim.lease.run_id) == ("run", True)
        assert second.publish != ()
