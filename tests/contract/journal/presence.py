"""Who serves which agents, as far as their beats tell."""

import pytest

from baton.card import Card
from baton.errors import RequestError
from baton.journal.contract import FORGET_S, LIVE_S
from tests.support.journals import Hand, Harness


async def register(hand: Hand, *names: str) -> None:
    for name in names:
        await hand.journal.register(Card(name=name, description=name))


class Presence:
    async def test_where_nothing_beats_it_is_not_known_who_lives(self, hand: Hand) -> None:
        await register(hand, "a")
        graph = await hand.journal.registry()
        assert graph.live is None
        assert graph.is_live("a")

    async def test_agents_that_a_process_serves_are_live_for_as_long_as_it_says_so(
        self, hand: Hand, other: Hand, harness: Harness
    ) -> None:
        await register(hand, "a", "b", "c")
        await other.journal.beat("w2", ["a", "b"])
        await harness.pass_time(LIVE_S - 1)
        await hand.journal.beat("w1", ["router", "a"])
        assert (await hand.journal.registry()).live == {"a", "b"}
        await harness.pass_time(LIVE_S / 2)
        graph = await hand.journal.registry()
        assert graph.live == {"a"}
        assert [name for name in ("a", "b", "c", "human") if graph.is_live(name)] == ["a", "human"]
        await other.journal.beat("w2", ["b"])
        assert (await hand.journal.registry()).live == {"a", "b"}

    async def test_where_a_router_alone_beats_no_agent_is_live(self, hand: Hand) -> None:
        await register(hand, "a")
        await hand.journal.beat("w1", ["router"])
        assert (await hand.journal.registry()).live == frozenset()

    async def test_an_old_beat_of_all_is_none(self, hand: Hand, harness: Harness) -> None:
        await register(hand, "a")
        await hand.journal.beat("w1", ["a"])
        await harness.pass_time(2 * LIVE_S)
        assert (await hand.journal.registry()).live is None

    async def test_a_process_that_leaves_is_off_the_list_at_once_and_others_stay(self, hand: Hand) -> None:
        await register(hand, "a", "b", "c")
        await hand.journal.beat("w1", ["a", "b", "c"])
        await hand.journal.beat("w2", ["b"])
        await hand.journal.leave("w1", ["a", "b"])
        assert (await hand.journal.registry()).live == {"b", "c"}
        await hand.journal.leave("w1", ["a", "b"])
        assert (await hand.journal.registry()).live == {"b", "c"}

    async def test_agents_are_shown_with_their_live_replicas_and_when_one_was_last_seen(
        self, hand: Hand, harness: Harness
    ) -> None:
        await register(hand, "a", "b")
        for owner in ("w1", "w2", "w3"):
            await hand.journal.beat(owner, ["a"])
        await harness.pass_time(LIVE_S + 1)
        last, never = await hand.journal.agents()
        assert (last.replicas, never.replicas, never.seen_at) == (0, 0, None)
        await hand.journal.beat("w1", ["a"])
        await hand.journal.beat("w2", ["a"])
        seen, _ = await hand.journal.agents()
        assert seen.replicas == 2
        assert seen.seen_at is not None
        assert last.seen_at is not None
        assert seen.seen_at > last.seen_at

    async def test_replicas_long_silent_are_forgotten(self, hand: Hand, harness: Harness) -> None:
        await hand.journal.beat("old", ["a", "b"])
        await harness.pass_time(FORGET_S - 60)
        await hand.journal.beat("newer", ["a"])
        assert len((await harness.rows())["replicas"]) == 3
        await harness.pass_time(120)
        await hand.journal.beat("newer", ["a"])
        assert [(row["owner"], row["agent"]) for row in (await harness.rows())["replicas"]] == [("newer", "a")]

    async def test_a_process_that_was_held_for_long_is_live_again(self, hand: Hand, harness: Harness) -> None:
        await register(hand, "a")
        await hand.journal.beat("w1", ["a"])
        await harness.pass_time(2 * FORGET_S)
        await hand.journal.beat("w1", ["a"])
        assert (await hand.journal.registry()).live == {"a"}

    async def test_the_card_of_an_agent_that_is_gone_can_be_forgotten(self, hand: Hand, other: Hand) -> None:
        await register(hand, "a", "b")
        await hand.journal.beat("w1", ["b"])
        assert (await other.journal.registry()).cards.keys() == {"a", "b"}
        await hand.journal.forget("a")
        assert (await other.journal.registry()).cards.keys() == {"b"}
        await register(hand, "a")
        assert (await other.journal.registry()).cards.keys() == {"a", "b"}

    async def test_the_card_of_an_agent_that_is_needed_is_not_forgotten(self, hand: Hand, harness: Harness) -> None:
        for name in ("a", "b"):
            await hand.journal.register(Card(name=name, description=name), fallback="a")
        await hand.journal.beat("w1", ["b"])
        for name, code in (("a", "agent_fallback"), ("b", "agent_live"), ("z", "unknown_agent"), ("", "unknown_agent")):
            with pytest.raises(RequestError, match=f"agent '{name}' is") as refused:
                await hand.journal.forget(name)
            assert (refused.value.code, refused.value.field) == (code, "agent")
        assert (await hand.journal.registry()).cards.keys() == {"a", "b"}
        await harness.pass_time(LIVE_S + 1)
        await hand.journal.forget("b")
        assert (await hand.journal.registry()).cards.keys() == {"a"}
