"""Runs through the chain: a rule, the offline classifier, a language model for the unsure, the fallback."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from baton import Agent, Answer, Card, LLMClassifier, Result, RouteDecision, Rule, Team, Turn
from baton.cli import account, run_page, timeline
from baton.journal.views import RunView
from baton.testing import serve
from baton.testing.serving import Served

MODEL = "lexical/2/abc"


class Wavering:
    """Is sure of `cards` where a text says so, unsure between two agents else."""

    def classify(self, text: str, cards: Any) -> RouteDecision:
        sure = "sure" in text
        return RouteDecision(
            agent="cards" if sure else None,
            skill=None,
            confidence=0.9 if sure else 0.3,
            runner_up="payments",
            margin=0.8 if sure else 0.02,
            method="lexical",
            threshold=0.4,
            best="cards",
            scores={"cards": 0.41, "payments": 0.39, "topups": 0.2},
            model=MODEL,
        )


def agent(name: str, **options: Any) -> Agent:
    made = Agent(name, f"All about {name}", **options)

    @made.turn
    async def take(turn: Turn) -> Answer:
        return Answer(f"{name} took it")

    return made


def team(llm: LLMClassifier | None = None) -> Team:
    ruled = agent("topups", rules=[Rule(pattern=r"(?i)\btop.?up\b")])
    agents = [agent("cards"), agent("payments"), ruled]
    return Team("desk", agents=agents, fallback=agent("rest", entry=False), classifier=Wavering(), llm=llm)


async def told(served: Served, result: Result) -> account.Account:
    run = await served.journal.run(result.run_id)
    assert isinstance(run, RunView)
    return await account.read(served.journal, run)


async def routed(text: str, llm: LLMClassifier | None = None) -> account.Account:
    async with serve(team(llm)) as served:
        return await told(served, await served.send(text))


def always(answer: str) -> LLMClassifier:
    return LLMClassifier(lambda _: answer, model="gpt-9")


async def test_a_rule_is_followed_and_nobody_is_asked(capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[str] = []
    seen = await routed("Top-up failed, sure", LLMClassifier(lambda text: calls.append(text) or "cards"))  # type: ignore[func-returns-value]
    assert (seen.run.agent, seen.route.method, seen.route.how, calls) == ("topups", "rule", "classified", [])
    run_page.show(seen)
    shown = " ".join(capsys.readouterr().out.split())
    assert "route topups (classified, rule)" in shown
    assert r"a rule of topups: the text matches /(?i)\btop.?up\b/" in shown


async def test_a_rule_reads_the_facts_of_the_request() -> None:
    kiosk = agent("kiosk", rules=[Rule(facts={"channel": "kiosk"})])
    async with serve(Team("desk", agents=[agent("cards"), kiosk], classifier=Wavering())) as served:
        assert (await served.send("sure", facts={"channel": "kiosk"})).trail == ("router", "kiosk")
        assert (await served.send("sure", facts={"channel": "app"})).trail == ("router", "cards")


async def test_a_follow_up_that_stays_with_its_agent_costs_no_call_of_the_model() -> None:
    calls: list[str] = []
    model = LLMClassifier(lambda text: calls.append(text) or "payments")  # type: ignore[func-returns-value]
    async with serve(team(model)) as served:
        first = await served.send("hm")
        again = await served.send("hm", conversation_id=first.conversation_id)
    assert (first.trail, again.trail, len(calls)) == (("router", "payments"), ("router", "payments"), 1)


async def test_the_model_decides_where_the_offline_classifier_is_unsure(capsys: pytest.CaptureFixture[str]) -> None:
    seen = await routed("hm", always("Payments"))
    route = seen.route
    assert (seen.run.agent, route.method, route.how) == ("payments", "llm", "classified")
    assert (route.model, route.runner_up, route.note) == (f"{MODEL} + gpt-9", "cards", "the model answered payments")
    assert seen.as_json()["route"]["model"] == route.model
    run_page.show(seen)
    shown = " ".join(capsys.readouterr().out.split())
    for part in ("payments (classified, llm)", "runner-up cards, behind by 0.000", "model lexical/2/abc + gpt-9"):
        assert part in shown


async def test_the_model_is_not_asked_where_the_offline_classifier_is_sure() -> None:
    seen = await routed("sure", always("payments"))
    assert (seen.run.agent, seen.route.method, seen.route.model, seen.route.note) == ("cards", "lexical", MODEL, None)


def raising(_: str) -> str:
    raise RuntimeError("no credit")


async def raising_later(_: str) -> str:
    raise RuntimeError("no credit")


@pytest.mark.parametrize(
    ("ask", "note"),
    [
        (lambda _: "banana", "the model answered 'banana', which is no agent"),
        (lambda _: "loans", "the model answered 'loans', which is no agent"),
        (lambda _: "", "the model answered '', which is no agent"),
        (lambda _: "none", "the model says that no agent fits"),
        (raising, "the model could not be asked: RuntimeError"),
        (raising_later, "the model could not be asked: RuntimeError"),
        (lambda _: str(threading.Event().wait()), "the model did not answer within 0.05 s"),
    ],
)
async def test_a_model_that_is_of_no_use_leaves_the_request_to_the_fallback(
    ask: Callable[[str], Any], note: str
) -> None:
    seen = await routed("hm", LLMClassifier(ask, timeout_s=0.05))
    assert (seen.run.status, seen.run.agent, seen.route.how, seen.route.note) == (
        "completed",
        "rest",
        "fallback",
        note,
    )
    said = next(timeline.said(event) for event in seen.events if event.type == "routed")
    assert f"; {note}; next payments, behind by" in said


async def test_what_a_model_that_hangs_was_asked_about_stays_where_the_offline_classifier_was_sure() -> None:
    never = LLMClassifier(lambda _: str(threading.Event().wait()), timeout_s=0.05, margin=1.0)
    seen = await routed("sure", never)
    assert (seen.run.agent, seen.route.method) == ("cards", "lexical")
    assert seen.route.note == "the model did not answer within 0.05 s"


async def test_a_card_whose_rule_cannot_be_read_harms_no_run() -> None:
    broken = Rule(pattern="(")
    team_ = team()
    team_.agents["cards"].rules = (broken, Rule(pattern="really mine"))
    async with serve(team_) as served:
        assert (await served.send("really mine")).trail == ("router", "cards")
        assert (await served.send("( sure")).trail == ("router", "cards")
        assert isinstance(team_.card("cards"), Card)


async def test_the_span_of_a_decision_tells_the_model_and_the_runner_up() -> None:
    async with serve(team(always("payments"))) as served:
        await served.send("hm")
    span = next(span for span in served.spans if span.name == "route")
    assert span.attributes["baton.route.model"] == f"{MODEL} + gpt-9"
    assert span.attributes["baton.route.method"] == "llm"
    assert span.attributes["baton.route.runner_up"] == "cards"
    assert span.attributes["baton.route.margin"] == 0.0
