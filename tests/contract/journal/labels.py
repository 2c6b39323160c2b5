"""What the router decided, page by page, and whose people say that the requests were."""

from typing import Any

import pytest

from baton import ids
from baton.card import Card
from baton.errors import NotFoundError, RequestError
from baton.journal.views import DecisionFilter, DecisionView
from baton.protocol.route import Routed
from tests.support.journals import Hand, Harness


async def decided(hand: Hand, **wanted: Any) -> list[DecisionView]:
    return await hand.journal.decisions(DecisionFilter(**wanted))


async def texts(hand: Hand, **wanted: Any) -> list[str]:
    return [one.text for one in await decided(hand, **wanted)]


async def register(hand: Hand) -> None:
    for name in "ab":
        await hand.journal.register(Card(name=name, description=name))


class Labels:
    async def test_a_label_says_whose_a_request_was_and_by_whom_and_the_later_one_counts(self, hand: Hand) -> None:
        await register(hand)
        run_id = (await hand.at()).lease.run_id
        assert await hand.journal.label_of(run_id) is None
        first = await hand.journal.label(run_id, "b", by="ann")
        assert (first.run_id, first.agent, first.labelled_by) == (run_id, "b", "ann")
        assert await hand.journal.label_of(run_id) == first
        later = await hand.journal.label(run_id[:16], "nobody", by="bob")
        assert await hand.journal.label_of(run_id) == later
        assert (later.run_id, later.agent, later.labelled_by) == (run_id, "nobody", "bob")
        assert later.labelled_at >= first.labelled_at
        assert (await hand.journal.label(run_id, "human", by="ann")).agent == "human"

    async def test_what_is_said_of_a_redriven_run_counts_for_the_first_one(self, hand: Hand) -> None:
        await register(hand)
        claim = await hand.at()
        redriven = await hand.redrive(await hand.killed(claim))
        written = await hand.journal.label(redriven.run_id, "b", by="ann")
        assert written.run_id == claim.lease.run_id
        assert await hand.journal.label_of(redriven.run_id) is None
        assert [one.label for one in await decided(hand)] == ["b"]

    async def test_a_label_needs_a_run_and_an_agent_that_exist(self, hand: Hand) -> None:
        await register(hand)
        run_id = (await hand.at()).lease.run_id
        with pytest.raises(NotFoundError, match="no run"):
            await hand.journal.label(ids.new_run_id(), "a", by="ann")
        with pytest.raises(RequestError, match="no agent 'z' is registered; a request was for a, b, human or nobody"):
            await hand.journal.label(run_id, "z", by="ann")
        assert await hand.journal.label_of(run_id) is None

    async def test_a_label_goes_with_its_run(self, hand: Hand, harness: Harness) -> None:
        await register(hand)
        gone, kept = [(await hand.accept()).run_id for _ in range(2)]
        for run_id in (gone, kept):
            await hand.journal.label(run_id, "a", by="ann")
        await hand.cancel(gone)
        await harness.pass_time(10)
        assert await hand.journal.prune(older_than_s=5, is_dry=False) == 1
        assert [row["run_id"] for row in (await harness.rows())["labels"]] == [kept]

    async def test_decisions_are_read_as_they_were_stored_with_text_and_label(self, hand: Hand) -> None:
        await register(hand)
        accepted = await hand.accept("my card is gone", tenant="bank")
        routed = Routed("a", "classified", "sure", skill="lost")
        await hand.finish(await hand.take(accepted.run_id), routed)
        [one] = await decided(hand)
        assert (one.run_id, one.tenant, one.text, one.label) == (accepted.run_id, "bank", "my card is gone", None)
        assert one.routed == routed.stored()
        assert one.accepted_at == (await hand.journal.run(accepted.run_id)).accepted_at
        await hand.journal.label(accepted.run_id, "b", by="ann")
        assert [one.label for one in await decided(hand)] == ["b"]

    async def test_the_first_decision_of_a_run_is_read_and_none_of_a_run_without(self, hand: Hand) -> None:
        await hand.accept("undecided")
        claim = await hand.at(text="first")
        await hand.hand(claim, "router")
        await hand.routed_by(await hand.take(claim.lease.run_id, 2), "b")
        [one] = await decided(hand)
        assert (one.text, one.routed["agent"]) == ("first", "a")

    async def test_a_redriven_run_is_read_once(self, hand: Hand) -> None:
        claim = await hand.take((await hand.accept("unlucky")).run_id)
        await hand.finish(claim, Routed(None, "fallback", "nobody"))
        again = await hand.redrive(claim.lease.run_id)
        await hand.routed(again.run_id)
        assert [(one.run_id, one.routed["agent"]) for one in await decided(hand)] == [(claim.lease.run_id, None)]

    async def test_decisions_come_oldest_first_in_pages(self, hand: Hand) -> None:
        run_ids = sorted([(await hand.at(text=f"text {n}")).lease.run_id for n in range(5)])
        found: list[str] = []
        sizes = []
        while page := await decided(hand, limit=2, after=found[-1] if found else ""):
            sizes.append(len(page))
            found += [one.run_id for one in page]
        assert (found, sizes) == (run_ids, [2, 2, 1])

    async def test_decisions_are_read_by_age_tenant_and_label(self, hand: Hand, harness: Harness) -> None:
        await register(hand)
        await hand.at(text="old")
        await harness.pass_time(100)
        claim = await hand.at(text="new", tenant="bank")
        await hand.journal.label(claim.lease.run_id, "b", by="ann")
        assert await texts(hand) == ["old", "new"]
        assert await texts(hand, since_s=50) == ["new"]
        assert await texts(hand, since_s=0) == []
        assert await texts(hand, tenant="bank") == ["new"]
        assert await texts(hand, tenant="nobody's") == []
        assert await texts(hand, is_labelled=True) == ["new"]
