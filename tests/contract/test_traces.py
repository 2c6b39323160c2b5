"""The trace of a run, whole: names, kinds, parents, links, errors and attributes, against golden files.

In the process here; over RabbitMQ, with every service a process of its own, in `tests/e2e/test_traces.py`.
"""

import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest

from baton import Agent, Answer, Ask, Handoff, PermanentError, Team, TransientError, Turn
from baton.ids import new_run_id
from baton.journal.records import Accept, ClaimCommand
from baton.journal.sqlite.journal import SqliteJournal
from baton.request import Request
from baton.telemetry import names
from baton.telemetry.record import SpanRecord
from baton.testing import Served, serve, span_tree
from tests.support import golden
from tests.support.waiting import until

cards = Agent("cards", "Lost, stolen or broken cards", examples=["I lost my card", "my card was stolen"])
disputes = Agent("disputes", "Payments the customer did not make", entry=False)
flaky = Agent("flaky", "Fails twice and then works", examples=["do it, whatever it takes"], max_attempts=3)


def frozen(card: str) -> str:
    return f"{card} is frozen"


@cards.turn
async def freeze(turn: Turn) -> Answer | Ask | Handoff:
    if turn.text == "which card?":
        return Answer("thank you") if turn.reply else Ask("Which one?")
    await turn.step("freeze", frozen, "card 1")
    if turn.text == "a person, please":
        return Handoff("human", reason="asked for one")
    if turn.text == "close it":
        approval = await turn.approve("close", "Close the account?")
        return Answer(f"closed: {approval.granted}")
    return Handoff(disputes, reason="an unknown payment")


@disputes.turn
async def open_case(turn: Turn) -> Answer:
    return Answer("case opened")


@flaky.turn
async def fail(turn: Turn) -> Answer:
    if turn.text == "in vain":
        raise PermanentError("the account is closed")
    if turn.attempt < 3:
        raise TransientError("the bank does not answer")
    return Answer("done")


desk = Team("desk", [cards >> [disputes, "human"]], agents=[flaky])


async def traced(served: Served, text: str, **request: str) -> list[SpanRecord]:
    """Return the spans of a run that has ended, once its root is among them."""
    await served.send("warm up", to="disputes")  # later hops are delivered; the first may be found by the poll
    result = await served.send(text, **request)
    while result.status == "waiting":
        said = {"decision": "approve"} if text == "close it" else {"text": "the red one"}
        result = await served.reply(result, **said, by="ann")
    return await spans_of(served, result.run_id)


async def spans_of(served: Served, run_id: str) -> list[SpanRecord]:
    """Return the spans of a run, once all of them must be there."""

    def found() -> list[SpanRecord]:
        return [span for span in served.spans if span.context.trace_id == run_id]

    await until(lambda: any(span.parent_id is None for span in found()), what="the root span")
    return found()


def check(name: str, spans: list[SpanRecord]) -> None:
    """Compare with a golden file, and hold it to what every trace promises."""
    assert len({span.context.trace_id for span in spans}) == 1
    assert Counter(span.context.span_id for span in spans).most_common(1)[0][1] == 1, "a span was written twice"
    tree = span_tree(spans, attributes=True)
    assert "orphan" not in tree
    assert all(span.start_at <= span.end_at for span in spans)
    golden.check(f"traces/{name}.txt", tree)


@pytest.mark.parametrize(
    ("name", "text", "to"),
    [
        ("plain", "which way?", "disputes"),
        ("handoff", "my card was stolen", "cards"),
        ("retry", "whatever it takes", "flaky"),
        ("failed", "in vain", "flaky"),
        ("ask", "which card?", "cards"),
        ("approval", "close it", "cards"),
        ("person", "a person, please", "cards"),
    ],
)
async def test_the_trace_of_a_run_is_as_it_was_found_good(name: str, text: str, to: str) -> None:
    async with serve(desk, encoder="none") as served:
        spans = await traced(served, text, to=to)
    check(name, [span for span in served.spans if span.context.trace_id == spans[0].context.trace_id])


async def test_a_classified_run_tells_how_it_was_routed() -> None:
    async with serve(desk, encoder="none") as served:
        spans = await traced(served, "my card was stolen")
    route = next(span for span in spans if span.name == "route")
    assert route.attributes[names.ROUTE_TARGET] == "cards"
    assert {names.ROUTE_SCORE, names.ROUTE_MARGIN, names.ROUTE_METHOD, names.ROUTE_HOW} <= route.attributes.keys()


async def test_a_hop_takes_four_spans_at_most() -> None:
    async with serve(desk, encoder="none") as served:
        spans = await traced(served, "which way?", to="disputes")
    hops = {span.context.span_id: [span] for span in spans if span.kind == "consumer"}
    parents = {span.context.span_id: span.parent_id for span in spans}
    for span in spans:
        at = span.parent_id
        while at is not None and at not in hops:
            at = parents[at]
        if at is not None:
            hops[at].append(span)
    assert {len(hop) <= 4 for hop in hops.values()} == {True}


async def test_an_attempt_that_died_is_told_by_the_one_after_it() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        run_id = await _left_running(path)
        async with serve(desk, encoder="none", journal=path) as served:
            await served.client.result(run_id, timeout_s=20.0)
            spans = await spans_of(served, run_id)
        check("lost", [span for span in served.spans if span.context.trace_id == spans[0].context.trace_id])


async def test_attempts_that_died_one_after_the_other_are_all_told() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        run_id = await _left_running(path, deaths=3)
        async with serve(desk, encoder="none", journal=path) as served:
            await served.client.result(run_id, timeout_s=20.0)
            spans = await spans_of(served, run_id)
            await until(lambda: sum(span.name.startswith("lost") for span in served.spans) == 3)
        assert "orphan" not in span_tree(spans)


async def test_attempts_used_up_by_deaths_are_all_told_with_the_root() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.db"
        run_id = await _left_running(path, deaths=6)
        async with serve(desk, encoder="none", journal=path) as served:
            result = await served.client.result(run_id, timeout_s=20.0)
            spans = await spans_of(served, run_id)
    assert result.error is not None
    tree = span_tree(spans)
    assert (result.error.code, tree.count("lost attempt baton.agent.router (internal)")) == ("max_attempts", 6)
    assert "orphan" not in tree
    assert tree.count("outside") == 0


async def _left_running(path: Path, deaths: int = 1) -> str:
    """Leave a run whose router's hop was claimed by processes that are gone."""
    wanted = Accept("0" * 12 + os.urandom(10).hex(), "default", Request.of({"text": "lost", "to": "disputes"}))
    for death in range(deaths):
        journal = SqliteJournal(path)  # a start frees what the process before had
        await journal.start(serves=True)
        await journal.accept(wanted)
        claim = await journal.claim(ClaimCommand(wanted.run_id, 0, "router", f"c{death}", "w", 30.0, 6))
        assert claim is not None
        await journal.close()
    return wanted.run_id


@pytest.mark.parametrize("captures", [False, True])
async def test_texts_stay_in_the_journal_unless_told_otherwise(captures: bool) -> None:
    async with serve(desk, encoder="none", capture_content=captures) as served:
        spans = await traced(served, "my sécret is 42", to="disputes")
    told = " ".join(str(span) for span in spans)
    assert ("my sécret is 42" in told, "case opened" in told) == (captures, captures)


async def test_nested_attempts_are_children_of_publishes() -> None:
    async with serve(desk, encoder="none", trace_layout="nested") as served:
        spans = await traced(served, "my card was stolen", to="cards")
    by_id = {span.context.span_id: span for span in spans}
    parents = {span.name: by_id[span.parent_id].name for span in spans if span.parent_id}
    assert parents["process baton.agent.disputes"] == "publish baton.work:disputes"
    assert "orphan" not in span_tree(spans)


CALLER = f"00-{'a' * 32}-{'b' * 16}-01"


async def test_who_asked_is_linked_from_the_root() -> None:
    async with serve(desk, encoder="none") as served:
        spans = await traced(served, "hello", to="disputes", traceparent=CALLER)
    root = next(span for span in spans if span.parent_id is None)
    assert [str(link) for link in root.links] == [CALLER]


async def test_a_run_can_be_a_part_of_its_callers_trace() -> None:
    async with serve(desk, encoder="none", trace_caller="continue") as served:
        result = await served.send("hello", to="disputes", traceparent=CALLER)
        await until(lambda: any(span.name == "invoke_workflow desk" for span in served.spans))
    own = [span for span in served.spans if span.context.trace_id == "a" * 32]
    root = next(span for span in own if span.name == "invoke_workflow desk")
    assert (root.parent_id, root.links) == ("b" * 16, ())
    assert all(span.parent_id is not None for span in own)
    assert result.run_id != "a" * 32


@pytest.mark.parametrize(
    "traceparent",
    ["", "nonsense", f"00-{'0' * 32}-{'b' * 16}-01", f"ff-{'a' * 32}-{'b' * 16}-01", CALLER.upper(), CALLER + "-x"],
)
async def test_a_malformed_caller_is_ignored_and_counted(traceparent: str) -> None:
    async with serve(desk, encoder="none") as served:
        spans = await traced(served, "hello", to="disputes", traceparent=traceparent)
        assert served.client._telemetry.malformed == bool(traceparent)
    assert next(span for span in spans if span.parent_id is None).links == ()


async def test_runs_of_one_caller_are_traces_of_their_own() -> None:
    async with serve(desk, encoder="none") as served:
        runs = [await served.start("hello", to="disputes", traceparent=CALLER) for _ in range(30)]
        for run in runs:
            await run.result()
            await spans_of(served, run.run_id)
    assert len({span.context.trace_id for span in served.spans}) == 30


async def test_a_run_that_is_not_sampled_is_not_traced_unless_it_fails() -> None:
    async with serve(desk, encoder="none", sampler=lambda _: False) as served:
        well = await served.send("hello", to="disputes")
        failed = await served.send("in vain", to="flaky")
        spans = await spans_of(served, failed.run_id)
    assert not [span for span in served.spans if span.context.trace_id == well.run_id]
    tree = [line.strip() for line in span_tree(spans).splitlines()]
    assert tree[0] == "invoke_workflow desk (internal) ! permanent"
    assert {"route (internal)", "invoke_agent flaky (internal) ! permanent"} <= set(tree)
    assert all(span.context.is_sampled for span in spans)


async def test_libraries_of_a_turn_that_is_not_sampled_are_not_sampled_either() -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    seen = []
    quiet = Agent("quiet", "Says nothing", examples=["quiet"])

    @quiet.turn
    async def turn(turn: Turn) -> Answer:
        seen.append(trace.get_current_span().get_span_context())
        return Answer(turn.run_id)

    async with serve(Team("quiet", [], agents=[quiet]), sampler=lambda _: False) as served:
        result = await served.send("quiet", to="quiet")
    assert [(f"{one.trace_id:032x}", one.trace_flags.sampled) for one in seen] == [(result.run_id, False)]


async def test_a_failed_run_is_told_later_with_the_ids_that_it_would_have_had() -> None:
    async with serve(desk, encoder="none") as live:
        seen = await traced(live, "in vain", to="flaky")
        told = await live.client._telemetry.read(live.journal, seen[0].context.trace_id)
    first = {span.context.span_id for span in seen if not span.name.endswith(":router")}
    assert first == {span.context.span_id for span in told.spans}


async def test_a_run_that_ends_in_no_workers_hands_has_its_root_once() -> None:
    async with serve(desk, encoder="none") as served:
        asked = await served.send("which card?", to="cards")
        await served.client.cancel(asked.run_id, reason="no need")
        spans = await spans_of(served, asked.run_id)
        await served.send("warm up", to="disputes")
        assert (await served.journal.sweep()).roots == ()
    tops = [span for span in served.spans if span.context.trace_id == asked.run_id and span.parent_id is None]
    assert [(top.name, top.attributes[names.RUN_STATE], top.error) for top in tops] == [
        ("invoke_workflow desk", "cancelled", "cancelled by user: no need")
    ]
    assert any(span.name == "wait user" for span in spans)


async def test_a_redriven_run_is_linked_to_the_one_before() -> None:
    async with serve(desk, encoder="none") as served:
        failed = await served.send("in vain", to="flaky")
        again = new_run_id()
        await served.journal.redrive(failed.run_id, new_run_id=again, by="ann")
        await served.client.result(again, timeout_s=20.0)
        spans = await spans_of(served, again)
    root = next(span for span in spans if span.parent_id is None)
    assert [link.trace_id for link in root.links] == [failed.run_id]
    assert "orphan" not in span_tree(spans)


async def test_what_goes_wrong_with_telling_undoes_no_work(caplog: pytest.LogCaptureFixture) -> None:
    async with serve(desk, encoder="none") as served:
        served.client._telemetry.sink = lambda _: 1 / 0
        result = await served.send("my card was stolen", to="cards")
        assert (result.status, result.trail) == ("completed", ("router", "cards", "disputes"))
        assert {record.message for record in caplog.records} == {"something was not traced"}
        assert served.spans == []
        caplog.clear()


async def test_a_turns_own_span_takes_attributes_and_its_libraries_are_its_children() -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    seen: list[int] = []
    talker = Agent("talker", "Says what it does", examples=["talk"])

    @talker.turn
    async def talk(turn: Turn) -> Answer:
        span = trace.get_current_span()
        span.set_attribute("color", "blüe")
        span.add_event("thought", {"about": "it"})
        seen.append(span.get_span_context().span_id)
        return Answer("said")

    async with serve(Team("talkers", [], agents=[talker])) as served:
        result = await served.send("talk", to="talker")
        spans = await spans_of(served, result.run_id)
    work = next(span for span in spans if span.name == "invoke_agent talker")
    assert (work.attributes["color"], [event.name for event in work.events]) == ("blüe", ["thought"])
    assert [f"{one:016x}" for one in seen] == [work.context.span_id]
