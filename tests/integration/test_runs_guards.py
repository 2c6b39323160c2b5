"""Whole runs that are stopped: loops, hop limits, and handoffs that nobody allowed."""

from typing import Any

import pytest

from baton import Answer, Handoff, Team, Turn
from baton.testing import ScriptedClassifier, scripted_agent, serve
from tests.support.teams import a_team, an_agent


def bounce(to: str) -> Any:
    return lambda turn: Handoff(to)


async def test_a_loop_between_agents_fails_with_the_loop_named() -> None:
    async with serve(loop_team()) as served:
        result = await served.send("hello")
        assert result.error is not None
        assert (result.status, result.error.code, result.error.agent) == ("failed", "no_progress", "a")
        assert result.error.details == {"loop": "a → b → a → b"}
        assert "'a' handed off to 'b' again" in result.error.message
        assert result.trail == ("router", "a", "b", "a")


def loop_team(fallback: Any = None) -> Team:
    one, other = an_agent("a", bounce("b")), an_agent("b", bounce("a"))
    return a_team(one >> other, other >> one, fallback=fallback)


async def test_a_loop_goes_to_the_fallback_where_there_is_one() -> None:
    catcher = an_agent("catcher", lambda turn: Answer(turn.reason), entry=False)
    async with serve(loop_team(catcher)) as served:
        result = await served.send("hello")
        assert (result.status, result.agent) == ("completed", "catcher")
        assert "no new message, fact or step: a → b → a → b" in str(result.text)
        assert result.trail == ("router", "a", "b", "a", "catcher")
    async with serve(loop_team("human")) as served:
        waiting = await served.send("hello")
        assert waiting.question is not None
        assert waiting.question.kind == "human"


async def test_agents_that_make_progress_may_go_back_and_forth() -> None:
    def count(turn: Turn) -> Any:
        n = turn.facts.get("n", 0)
        return Answer(f"counted to {n}") if n >= 6 else Handoff("b" if turn.seq % 2 else "a", facts={"n": n + 1})

    one, other = an_agent("a", count), an_agent("b", count)
    async with serve(a_team(one >> other, other >> one)) as served:
        assert (await served.send("hello")).text == "counted to 6"


async def test_a_step_with_new_input_is_progress_and_the_same_step_again_is_none() -> None:
    def with_steps(to: str, *, is_new: bool) -> Any:
        async def take(turn: Turn) -> Any:
            if turn.seq > 6:
                return Answer("enough")
            await turn.step("look", lambda n: n, turn.seq if is_new else 0)
            return Handoff(to)

        return take

    for is_new, status in ((True, "completed"), (False, "failed")):
        one = an_agent("a", with_steps("b", is_new=is_new))
        other = an_agent("b", with_steps("a", is_new=is_new))
        async with serve(a_team(one >> other, other >> one)) as served:
            assert (await served.send("hello")).status == status


async def test_a_run_over_its_hop_limit_fails_with_its_path() -> None:
    def on(turn: Turn) -> Any:
        return Handoff("b" if turn.seq % 2 else "a", facts={f"n{turn.seq}": turn.seq})

    one, other = an_agent("a", on), an_agent("b", on)
    async with serve(a_team(one >> other, other >> one), max_hops=5) as served:
        for given, hops in (({}, 5), ({"max_hops": 2}, 2)):
            result = await served.send("hello", **given)
            assert result.error is not None
            assert (result.error.code, result.error.details) == ("hop_limit", {"max_hops": hops})
            assert len(result.trail) == hops + 1
            assert f"at most {hops} are allowed" in result.error.message
            assert "router → a → b" in result.error.message


@pytest.mark.parametrize(
    ("to", "told"),
    [
        ("a", "'a' handed off to itself"),
        ("c", "'a' handed off to 'c', which is not declared;"),
        ("nobody", "'a' handed off to 'nobody', which is not declared, and no such agent is registered"),
        ("elsewhere", "'a' handed off to 'elsewhere', which is declared but not registered"),
        ("", "'a' handed off to ''"),
        (None, "'a' handed off to 'None'"),
    ],
)
async def test_a_handoff_that_is_not_allowed_goes_to_the_fallback_or_fails(to: Any, told: str) -> None:
    def team(**changes: Any) -> Team:
        agents = [scripted_agent("c", Answer("c")), an_agent("catcher", lambda turn: Answer(turn.reason), entry=False)]
        return a_team(an_agent("a", bounce(to)) >> ["b", "elsewhere"], agents=agents, **changes)

    async with serve(team()) as served:
        result = await served.send("hello")
        assert result.error is not None
        assert (result.status, result.error.code) == ("failed", "handoff_refused")
        assert told in result.error.message
        assert "'a' may hand off to b, elsewhere, human and router" in result.error.message
    async with serve(team(fallback="catcher")) as served:
        result = await served.send("hello")
        assert (result.status, result.agent) == ("completed", "catcher")
        assert told in str(result.text)


async def test_a_fallback_that_hands_off_badly_itself_ends_the_run() -> None:
    catcher = an_agent("catcher", bounce("nobody"), entry=False)
    async with serve(a_team(agents=[an_agent("a", bounce("nobody")), catcher], fallback=catcher)) as served:
        result = await served.send("hello")
        assert result.error is not None
        assert (result.status, result.error.code, result.error.agent) == ("failed", "handoff_refused", "catcher")


async def test_a_conversation_stays_with_its_agent_until_the_topic_changes() -> None:
    cards, payments = (an_agent(name, lambda turn, name=name: Answer(name)) for name in ("cards", "payments"))
    classifier = ScriptedClassifier({"card": "cards", "pay": "payments"})
    async with serve(a_team(agents=[cards, payments], classifier=classifier)) as served:
        trails = []
        for text in ("my card", "and now?", "a payment", "what about it?"):
            result = await served.send(text, conversation_id="c1")
            [routed] = [event.data for event in await served.journal.events(result.run_id) if event.type == "routed"]
            trails.append((result.agent, routed["how"]))
        assert trails == [
            ("cards", "classified"),
            ("cards", "sticky"),
            ("payments", "shifted"),
            ("payments", "sticky"),
        ]
        assert (await served.send("and now?", conversation_id="c2")).status == "failed"


async def test_an_answer_that_releases_lets_the_next_request_be_classified() -> None:
    cards = scripted_agent("cards", Answer("bye", release=True))
    other = scripted_agent("payments", Answer("hi"))
    classifier = ScriptedClassifier({"card": "cards"}, default="payments")
    async with serve(a_team(agents=[cards, other], classifier=classifier)) as served:
        await served.send("my card", conversation_id="c1")
        assert (await served.send("something", conversation_id="c1")).agent == "payments"


async def test_stickiness_ends_after_its_time() -> None:
    cards, other = scripted_agent("cards", Answer("hi")), scripted_agent("payments", Answer("hi"))
    classifier = ScriptedClassifier({"card": "cards"}, default="payments")
    async with serve(a_team(agents=[cards, other], classifier=classifier), sticky_s=0) as served:
        await served.send("my card", conversation_id="c1")
        assert (await served.send("something", conversation_id="c1")).agent == "payments"
