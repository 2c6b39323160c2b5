"""Reading, the registry, retention, and what cannot be understood."""

import pytest

from baton import ids
from baton.card import Card, SkillCard
from baton.errors import ConfigError, IdempotencyConflictError, NotFoundError, TransientError
from baton.journal.messages import Quarantined
from baton.journal.views import RunFilter, WindowFilter
from baton.protocol.guards import Graph
from baton.routing.stored_threshold import StoredThreshold
from tests.support.journals import Hand, Harness, a_step


class Reading:
    async def test_registered_cards_are_the_graph_and_the_newest_counts(self, hand: Hand, other: Hand) -> None:
        assert await hand.journal.registry() == Graph({})
        old = Card(name="cards", description="old")
        new = Card(name="cards", description="new", skills=(SkillCard(name="freeze"),), targets=("b",), entry=False)
        for card in (old, new, Card(name="b", description="b")):
            await hand.journal.register(card, fallback="human")
        assert await other.journal.registry() == Graph({"b": Card(name="b", description="b"), "cards": new}, "human")

    async def test_cards_that_changed_came_or_went_are_read_anew(self, hand: Hand, other: Hand) -> None:
        def card(name: str, description: str) -> Card:
            return Card(name=name, description=description)

        async def described() -> dict[str, str]:
            return {name: card.description for name, card in (await other.journal.registry()).cards.items()}

        for name in ("a", "b"):
            await hand.journal.register(card(name, "old"))
        assert await described() == {"a": "old", "b": "old"}
        await hand.journal.register(card("b", "new"))
        assert await described() == {"a": "old", "b": "new"}
        await hand.journal.enrol([card("a", "old"), card("c", "new")], fallback=None)
        assert await described() == {"a": "old", "c": "new"}
        await hand.journal.register(card("b", "back"))
        assert await described() == {"a": "old", "b": "back", "c": "new"}

    async def test_a_threshold_is_kept_until_another_comes_or_it_is_forgotten(self, hand: Hand, other: Hand) -> None:
        assert (await other.journal.registry()).threshold is None
        for value in (0.25, 0.75):
            kept = StoredThreshold("5f" * 32, "lexical/2/5f5f5f5f5f5f", value)
            await hand.journal.calibrate(kept)
            assert await other.journal.registry() == Graph({}, threshold=kept)
        await hand.journal.enrol([Card(name="a", description="a")], fallback="human")
        graph = await other.journal.registry()
        assert (graph.fallback, graph.threshold) == ("human", kept)
        for _ in range(2):
            await hand.journal.calibrate(None)
            graph = await other.journal.registry()
            assert (graph.fallback, graph.threshold) == ("human", None)

    async def test_the_agents_are_shown_with_what_stands_before_them(self, hand: Hand) -> None:
        await hand.journal.register(Card(name="a", description="All", skills=(SkillCard(name="x"),), targets=("b",)))
        accepted = await hand.accept()
        await hand.routed(accepted.run_id)
        await hand.at()
        await hand.ask(await hand.at())
        [agent] = await hand.journal.agents()
        assert (agent.name, agent.skills, agent.targets, agent.entry) == ("a", 1, ("b",), True)
        assert (agent.pending, agent.running, agent.waiting) == (1, 1, 1)

    async def test_a_run_is_found_by_the_beginning_of_its_id(self, hand: Hand) -> None:
        one = await hand.accept(run_id="0192f3c4d5e6" + "a" * 20)
        other = await hand.accept(run_id="0192f3c4d5e6" + "b" * 20)
        for start in (one.run_id, one.run_id[:13]):
            assert (await hand.journal.run(start)).run_id == one.run_id
        assert (await hand.journal.result(other.run_id[:13])).run_id == other.run_id
        for wrong, told in (
            ("0192f3c4d5e6", "several runs begin with"),
            ("0192f", "no run"),
            (ids.new_run_id(), "no run"),
            ("", "no run"),
            ("%", "no run"),
        ):
            with pytest.raises(NotFoundError, match=told):
                await hand.journal.run(wrong)

    async def test_runs_are_listed_newest_last_by_what_is_wanted(self, hand: Hand) -> None:
        run_ids = []
        for n in range(4):
            accepted = await hand.accept(
                f"text {n}", run_id=f"0192f3c4d5e{n}" + "a" * 20, tenant="t" if n == 3 else "s"
            )
            run_ids.append(accepted.run_id)
        await hand.cancel(run_ids[1])
        await hand.routed(run_ids[2], "b")

        async def listed(**wanted: object) -> list[str]:
            return [run.run_id for run in await hand.journal.runs(RunFilter.model_validate(wanted))]

        assert await listed() == run_ids
        assert await listed(limit=2) == run_ids[2:]
        assert await listed(status="cancelled") == [run_ids[1]]
        assert await listed(tenant="t") == [run_ids[3]]
        assert await listed(agent="b") == [run_ids[2]]
        assert await listed(conversation_id=run_ids[0], tenant="s") == [run_ids[0]]
        assert await listed(batch="none") == []
        assert [run.text for run in await hand.journal.runs(RunFilter())] == [f"text {n}" for n in range(4)]

    async def test_a_window_has_the_hops_of_the_runs_accepted_in_it(self, hand: Hand, harness: Harness) -> None:
        old = await hand.at()
        await harness.pass_time(100)
        claim = await hand.at(tenant="bank")
        run_id = claim.lease.run_id
        await hand.hand(claim, "b")
        await hand.killed(await hand.take(run_id, 2, "b"))
        window = await hand.journal.window(WindowFilter(since_s=50))
        assert not window.is_cut
        assert [(hop.run_id, hop.seq, hop.from_agent, hop.agent, hop.kind) for hop in window.hops] == [
            (run_id, 0, None, "router", "route"),
            (run_id, 1, "router", "a", "handoff"),
            (run_id, 2, "a", "b", "handoff"),
        ]
        assert [hop.is_failed for hop in window.hops] == [False, False, True]
        assert not any(hop.is_copied for hop in window.hops)
        for wanted, found in (
            (WindowFilter(since_s=150), {old.lease.run_id, run_id}),
            (WindowFilter(since_s=150, tenant="bank"), {run_id}),
            (WindowFilter(since_s=150, tenant="nobody's"), set()),
            (WindowFilter(since_s=0), set()),
        ):
            assert {hop.run_id for hop in (await hand.journal.window(wanted)).hops} == found

    async def test_a_window_is_cut_at_its_limit_and_says_so(self, hand: Hand) -> None:
        run_ids = sorted([(await hand.at()).lease.run_id for _ in range(3)])
        window = await hand.journal.window(WindowFilter(limit=2))
        assert (sorted({hop.run_id for hop in window.hops}), window.is_cut) == (run_ids[1:], True)
        assert not (await hand.journal.window(WindowFilter(limit=3))).is_cut

    async def test_a_window_tells_how_long_a_hop_was_due_unless_that_was_overwritten(
        self, hand: Hand, harness: Harness
    ) -> None:
        async def queue_s(run_id: str) -> float | None:
            window = await hand.journal.window(WindowFilter())
            return next(hop.queue_s for hop in window.hops if (hop.run_id, hop.seq) == (run_id, 1))

        accepted = await hand.accept()
        await hand.routed(accepted.run_id)
        assert await queue_s(accepted.run_id) is None
        claim = await hand.take(accepted.run_id, 1, "a")
        first = await queue_s(accepted.run_id)
        assert first == pytest.approx(claim.now - claim.pending_since)
        await hand.fail(claim, TransientError("later"))
        assert await queue_s(accepted.run_id) is None
        await hand.take(accepted.run_id, 1, "a")
        assert await queue_s(accepted.run_id) is None
        lost = await hand.at()
        await harness.expire_lease(lost.lease.run_id, 1)
        await hand.take(lost.lease.run_id, 1, "a")
        assert await queue_s(lost.lease.run_id) is None

    async def test_a_window_says_which_hops_a_redriven_run_only_copied(self, hand: Hand) -> None:
        claim = await hand.at()
        await hand.hand(claim, "b")
        run_id = await hand.killed(await hand.take(claim.lease.run_id, 2, "b"))
        again = await hand.redrive(run_id)
        await hand.answer(await hand.take(again.run_id, 2, "b"))
        window = await hand.journal.window(WindowFilter())
        redriven = [hop for hop in window.hops if hop.run_id == again.run_id]
        assert [(hop.seq, hop.is_copied, hop.is_failed) for hop in redriven] == [
            (0, True, False),
            (1, True, False),
            (2, False, False),
        ]

    async def test_another_process_reads_what_was_written(self, hand: Hand, other: Hand) -> None:
        claim = await hand.at(conversation_id="c1")
        await hand.journal.record(claim.lease, a_step(claim))
        await hand.ask(claim)
        run_id = claim.lease.run_id
        for read in (
            lambda journal: journal.run(run_id),
            lambda journal: journal.result(run_id),
            lambda journal: journal.hops(run_id),
            lambda journal: journal.steps(run_id),
            lambda journal: journal.waits(run_id),
            lambda journal: journal.events(run_id),
            lambda journal: journal.history("default", "c1"),
        ):
            assert await read(other.journal) == await read(hand.journal) != []

    async def test_another_process_can_send_reply_and_cancel(self, hand: Hand, other: Hand) -> None:
        accepted = await other.accept(conversation_id="c1")
        await hand.routed(accepted.run_id)
        await hand.ask(await hand.take(accepted.run_id, 1, "a"))
        await other.reply(accepted.run_id, "yes")
        await hand.take(accepted.run_id, 2, "a")
        assert (await other.cancel(accepted.run_id)).status == "running"
        assert (await hand.journal.run(accepted.run_id)).stop

    async def test_a_write_of_another_process_is_noticed_once_where_polls_do_not_find_it(
        self, hand: Hand, other: Hand, harness: Harness
    ) -> None:
        assert not await hand.journal.changed()
        await hand.accept()
        assert not await hand.journal.changed()
        await other.accept()
        assert await hand.journal.changed() is harness.has_one_process
        assert not await hand.journal.changed()

    async def test_what_cannot_be_understood_is_kept(self, hand: Hand, harness: Harness) -> None:
        await hand.journal.quarantine(Quarantined("cards", b"\xff\x00 no envelope", "no JSON"))
        [row] = (await harness.rows())["quarantine"]
        assert (row["source"], bytes(row["body"]), row["reason"]) == ("cards", b"\xff\x00 no envelope", "no JSON")

    async def test_everything_is_still_there_after_a_restart(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(conversation_id="c1", facts={"a": 1})
        await hand.journal.record(claim.lease, a_step(claim))
        await hand.ask(claim, "which?")
        before = await harness.rows()
        await harness.restart()
        assert await harness.rows() == before
        await hand.reply(claim.lease.run_id, "this")
        assert (await hand.answer(await hand.take(claim.lease.run_id, 2, "a"))).outcome == "applied"

    async def test_a_journal_belongs_to_one_team(self, hand: Hand, harness: Harness) -> None:
        desk = await harness.second()
        await desk.close()
        await desk.start(serves=False, team="desk")
        await desk.close()
        with pytest.raises(ConfigError, match="belongs to team 'desk', this process to team 'shop'"):
            await desk.start(serves=False, team="shop")
        await desk.start(serves=False, team="desk")
        await desk.close()

    async def test_old_runs_go_and_their_keys_stay(self, hand: Hand, harness: Harness) -> None:
        claim = await hand.at(key="old", conversation_id="c1")
        await hand.journal.record(claim.lease, a_step(claim))
        await hand.answer(claim)
        await harness.pass_time(100)
        fresh = await hand.at(key="fresh", conversation_id="c2")
        await hand.answer(fresh)
        open_run = await hand.accept(key="open", conversation_id="c3")
        await harness.pass_time(100)
        assert await hand.journal.prune(older_than_s=150, is_dry=True) == 1
        assert await hand.journal.prune(older_than_s=150, is_dry=False) == 1
        assert await hand.journal.prune(older_than_s=150, is_dry=False) == 0
        with pytest.raises(NotFoundError):
            await hand.journal.run(claim.lease.run_id)
        rows = await harness.rows()
        for table in ("runs", "hops", "steps", "events", "messages", "conversations"):
            assert not [row for row in rows[table] if claim.lease.run_id in row.values() or "c1" in row.values()], table
        again = await hand.accept(key="old", conversation_id="c1")
        assert (again.run_id, again.is_new, again.publish) == (claim.lease.run_id, False, ())
        with pytest.raises(IdempotencyConflictError):
            await hand.accept("other", key="old", conversation_id="c1")
        assert await hand.status(fresh.lease.run_id) == "completed"
        assert await hand.status(open_run.run_id) == "queued"

    async def test_a_conversation_stays_as_long_as_one_of_its_runs(self, hand: Hand, harness: Harness) -> None:
        await hand.answer(await hand.at(conversation_id="c1", facts={"a": 1}))
        await harness.pass_time(100)
        await hand.answer(await hand.at(conversation_id="c1", text="again"))
        assert await hand.journal.prune(older_than_s=50, is_dry=False) == 1
        assert await hand.said("c1") == ["hello", "done", "again", "done"]
        third = await hand.accept("third", conversation_id="c1")
        assert (await hand.take(third.run_id)).run.facts["a"] == 1

    async def test_many_old_runs_go_in_one_call(self, hand: Hand, harness: Harness) -> None:
        for _ in range(30):
            await hand.cancel((await hand.accept()).run_id)
        await harness.pass_time(10)
        assert await hand.journal.prune(older_than_s=5, is_dry=False, limit=12) == 12
        assert len((await harness.rows())["runs"]) == 18
        assert await hand.journal.prune(older_than_s=5, is_dry=False) == 18
        assert (await harness.rows())["runs"] == []
