"""One judge for a process: what waits together is decided together, new cards are learnt beside the work."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from baton.card import Card
from baton.errors import PermanentError, TransientError
from baton.hop import judge as judge_module
from baton.hop.judge import TOGETHER, Judge
from baton.protocol.guards import Graph
from baton.routing.decision import RouteDecision
from baton.routing.stored_threshold import StoredThreshold
from baton.testing import ScriptedClassifier
from tests.support.waiting import until

OLD = {name: Card(name=name, description=name) for name in ("a", "b")}
NEW = {**OLD, "c": Card(name="c", description="c"), "d": Card(name="d", description="d", entry=False)}
CHANGED = {**OLD, "b": Card(name="b", description="b", examples=("x",))}


class Learner:
    """Decides for the agent whose name or example the text is, once it has learnt its card; learns when it is let."""

    def __init__(self) -> None:
        self.learnt: list[tuple[str, ...]] = []
        self.calls: list[list[str]] = []
        self.may_learn = threading.Event()
        self.may_answer = threading.Event()
        self.may_learn.set()
        self.may_answer.set()
        self.fails: set[tuple[str, ...]] = set()
        """Cards that cannot be learnt."""
        self.tries = 0

    def is_ready(self, cards: Sequence[Card]) -> bool:
        return names(cards) in self.learnt

    def prepare(self, cards: Sequence[Card]) -> None:
        assert self.may_learn.wait(20)
        self.tries += 1
        if names(cards) in self.fails:
            raise MemoryError("too many")
        self.learnt.append(names(cards))

    def classify(self, text: str, cards: Sequence[Card]) -> RouteDecision:
        return self.classify_many([text], cards)[0]

    def classify_many(
        self, texts: Sequence[str], cards: Sequence[Card], *, without: frozenset[str] = frozenset()
    ) -> list[RouteDecision]:
        assert self.is_ready(cards)
        self.calls.append(list(texts))
        assert self.may_answer.wait(20)
        if "boom" in texts:
            raise RuntimeError("boom")
        known = {text: card.name for card in cards if card.name not in without for text in (card.name, *card.examples)}
        return [
            RouteDecision(known.get(text), None, 1.0, None, 1.0, "test", best=min(known.values()), model=text)
            for text in texts
        ]

    def likeness(self, text: str, other: str) -> float:
        return 0.5


def names(cards: Sequence[Card]) -> tuple[str, ...]:
    """Return what a set of cards is told apart by."""
    return tuple("".join((card.name, *card.examples)) for card in cards)


@pytest.fixture
def learner() -> Learner:
    return Learner()


@pytest.fixture
def judge(learner: Learner) -> Judge:
    return Judge(lambda: learner, false_share=0.02)


async def test_what_waits_together_is_decided_together(judge: Judge, learner: Learner) -> None:
    await judge.learn(Graph(OLD))
    learner.may_answer.clear()
    first = asyncio.create_task(judge.decide("a", Graph(OLD)))
    await until(lambda: learner.calls == [["a"]])
    rest = [asyncio.create_task(judge.decide("ab"[n % 2], Graph(OLD))) for n in range(TOGETHER + 5)]
    await until(lambda: len(judge._asked) == TOGETHER + 5)
    learner.may_answer.set()
    found = [decision.agent for decision in await asyncio.gather(first, *rest)]
    assert found == ["a", *("ab"[n % 2] for n in range(TOGETHER + 5))]
    assert [len(call) for call in learner.calls] == [1, TOGETHER, 5]


async def test_others_left_out_are_asked_apart(judge: Judge, learner: Learner) -> None:
    await judge.learn(Graph(OLD))
    graph = Graph(OLD)
    plain, without = await asyncio.gather(judge.decide("a", graph), judge.decide("a", graph, without=frozenset({"a"})))
    assert (plain.agent, without.agent) == ("a", None)


async def test_a_classifier_that_raises_is_told_to_each_who_asked_and_goes_on(judge: Judge) -> None:
    await judge.learn(Graph(OLD))
    graph = Graph(OLD)
    found = await asyncio.gather(*(judge.decide(text, graph) for text in ("boom", "a")), return_exceptions=True)
    assert [isinstance(one, RuntimeError) for one in found] == [True, True]
    assert (await judge.decide("a", graph)).agent == "a"


async def test_changed_cards_are_learnt_beside_the_work(judge: Judge, learner: Learner) -> None:
    await judge.learn(Graph(OLD))
    learner.may_learn.clear()
    graph = Graph(CHANGED)
    judge.notice(graph)
    assert (await judge.decide("b", graph)).agent == "b"
    unsure = asyncio.create_task(judge.decide("x", graph))
    await until(lambda: learner.calls[-1] == ["x"])
    assert not unsure.done()
    learner.may_learn.set()
    assert (await unsure).agent == "b"
    assert learner.learnt == [("a", "b"), ("a", "bx")]


async def test_what_may_be_for_a_new_agent_waits_until_its_card_is_learnt(judge: Judge, learner: Learner) -> None:
    """Of a desk that starts, the first agents alone would be sure of what is for those that come a second later."""
    await judge.learn(Graph(OLD))
    learner.may_learn.clear()
    better = {**OLD, "c": Card(name="c", description="c", examples=("b",))}
    asked = asyncio.create_task(judge.decide("b", Graph(better)))
    await until(lambda: judge._learning is not None)
    learner.may_learn.set()
    assert (await asked).agent == "c"


async def test_a_stored_threshold_makes_an_unsure_decision_sure_that_then_waits_for_nothing(
    judge: Judge, learner: Learner
) -> None:
    await judge.learn(Graph(OLD))
    assert (await judge.decide("z", Graph(OLD, threshold=StoredThreshold("c", "of-others", 0.5)))).agent is None
    kept = StoredThreshold("c", "z", 0.5)
    assert (await judge.decide("z", Graph(OLD, threshold=kept))).agent == "a"
    learner.may_learn.clear()
    assert (await judge.decide("z", Graph(CHANGED, threshold=kept))).agent == "a"
    learner.may_learn.set()


async def test_an_agent_that_is_gone_is_not_chosen_by_what_was_known_before(judge: Judge, learner: Learner) -> None:
    await judge.learn(Graph(NEW))
    learner.may_learn.clear()
    asked = asyncio.create_task(judge.decide("c", Graph(OLD)))
    await until(lambda: learner.calls == [["c"]])
    learner.may_learn.set()
    assert (await asked).agent is None


async def test_the_first_request_waits_until_the_cards_are_known(judge: Judge, learner: Learner) -> None:
    learner.may_learn.clear()
    asked = asyncio.create_task(judge.decide("a", Graph(OLD)))
    await until(lambda: judge._learning is not None)
    assert learner.calls == []
    learner.may_learn.set()
    assert (await asked).agent == "a"


async def test_who_has_the_conversation_is_judged_too_though_the_router_never_chooses_it(
    judge: Judge, learner: Learner
) -> None:
    await judge.learn(Graph(NEW))
    assert (await judge.decide("d", Graph(NEW))).agent is None
    assert (await judge.decide("d", Graph(NEW), active="d")).agent == "d"
    assert (await judge.decide("d", Graph(NEW), active="a")).agent is None
    assert learner.learnt == [("a", "b", "c"), ("a", "b", "c", "d")]


async def test_equal_cards_are_learnt_once(judge: Judge, learner: Learner) -> None:
    for _ in range(3):
        await judge.decide("a", Graph({name: card.model_copy() for name, card in OLD.items()}))
    assert learner.learnt == [("a", "b")]


async def test_nobody_to_choose_from_is_no_error(judge: Judge, learner: Learner) -> None:
    decision = await judge.decide("a", Graph({"d": NEW["d"]}))
    assert (decision.agent, decision.best) == (None, None)
    assert learner.learnt == []


async def test_a_classifier_that_learns_nothing_is_given_who_may_be_chosen() -> None:
    judge = Judge(lambda: ScriptedClassifier({"go": "a"}), false_share=0.02)
    assert (await judge.decide("go", Graph(NEW))).agent == "a"
    assert (await judge.decide("go", Graph(NEW), without=frozenset({"a"}))).agent is None
    judge.notice(Graph(NEW))


async def test_without_a_share_no_message_is_looked_at(learner: Learner) -> None:
    def never() -> Learner:
        raise AssertionError("nobody needs a classifier")

    judge = Judge(never, false_share=0.0)
    decision = RouteDecision("a", None, 1.0, None, 1.0, "rule", best="a")
    assert await judge.shift(decision, "hello", active="b", said="") is None
    judge.learn_soon(Graph(OLD), "a")
    assert judge._warming is None


async def test_while_the_user_thinks_the_cards_are_learnt(judge: Judge, learner: Learner) -> None:
    judge.learn_soon(Graph(OLD), "a")
    judge.learn_soon(Graph(OLD), "a")
    await until(lambda: learner.learnt == [("a", "b")])
    judge.close()


async def test_cards_that_cannot_be_learnt_are_told_once_and_tried_again_later(
    judge: Judge, learner: Learner, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    learner.fails = {names(list(OLD.values()))}
    graph = Graph(OLD)
    for _ in range(3):
        with pytest.raises(TransientError, match="the agents' cards cannot be learnt: MemoryError: too many"):
            await judge.decide("a", graph)
        judge.notice(graph)
    assert learner.tries == 1
    assert [record.getMessage()[:33] for record in caplog.records] == ["learning the agents' cards failed"]
    learner.fails = set()
    monkeypatch.setattr(judge_module, "LEARN_AGAIN_S", 0.0)
    judge._failed = judge._failed._replace(until=0.0) if judge._failed else None
    assert (await judge.decide("a", graph)).agent == "a"


async def test_where_new_cards_cannot_be_learnt_those_before_decide(judge: Judge, learner: Learner) -> None:
    await judge.learn(Graph(OLD))
    learner.fails = {("a", "b", "c")}
    graph = Graph(NEW)
    for text, agent in (("b", "b"), ("c", None), ("a", "a"), ("c", None)):
        assert (await judge.decide(text, graph)).agent == agent
    assert learner.tries == 2
    changed = Graph({"a": OLD["a"]})
    assert (await judge.decide("a", changed)).agent == "a"
    judge.notice(changed)
    await until(lambda: learner.tries == 3)


async def test_a_classifier_that_never_gets_ready_is_not_asked_without_end(judge: Judge, learner: Learner) -> None:
    learner.is_ready = lambda _: False  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="Learner is not ready for the cards that it prepared"):
        await judge.decide("a", Graph(OLD))
    assert learner.tries == 1


async def test_cards_that_change_while_others_are_learnt_are_learnt_next(judge: Judge, learner: Learner) -> None:
    learner.may_learn.clear()
    asked = [asyncio.create_task(judge.decide(text, graph)) for text, graph in (("a", Graph(OLD)), ("c", Graph(NEW)))]
    await until(lambda: judge._learning is not None)
    judge.notice(Graph(NEW))
    learner.may_learn.set()
    assert [decision.agent for decision in await asyncio.gather(*asked)] == ["a", "c"]
    assert sorted(learner.learnt) == [("a", "b"), ("a", "b", "c")]


async def test_who_gives_up_harms_nobody_and_is_not_classified(judge: Judge, learner: Learner) -> None:
    await judge.learn(Graph(OLD))
    graph = Graph(OLD)
    learner.may_answer.clear()
    asked = [asyncio.create_task(judge.decide("a", graph))]
    await until(lambda: learner.calls == [["a"]])
    asked += [asyncio.create_task(judge.decide(text, graph)) for text in "bab"]
    await until(lambda: len(judge._asked) == 3)
    for one in asked[:2]:
        one.cancel()
    learner.may_answer.set()
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert [isinstance(one, asyncio.CancelledError) for one in found] == [True, True, False, False]
    assert [one.agent for one in found[2:]] == ["a", "b"]  # type: ignore[union-attr]
    assert learner.calls == [["a"], ["a", "b"]]


async def test_a_call_that_hangs_holds_up_none_that_follow(
    judge: Judge, learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> None:
    await judge.learn(Graph(OLD))
    monkeypatch.setattr(judge_module, "ANSWER_TIMEOUT_S", 0.02)
    learner.may_answer.clear()
    with pytest.raises(TimeoutError):
        await judge.decide("a", Graph(OLD))
    learner.may_answer.set()
    monkeypatch.setattr(judge_module, "ANSWER_TIMEOUT_S", 20.0)
    assert (await judge.decide("b", Graph(OLD))).agent == "b"


async def test_a_classifier_that_loses_an_answer_leaves_nobody_waiting(judge: Judge, learner: Learner) -> None:
    await judge.learn(Graph(OLD))
    learner.classify_many = lambda texts, cards, *, without=frozenset(): []  # type: ignore[method-assign,assignment]
    with pytest.raises(ValueError, match="zip"):
        await judge.decide("a", Graph(OLD))


async def test_thousands_may_wait(judge: Judge, learner: Learner) -> None:
    await judge.learn(Graph(OLD))
    graph, long = Graph(OLD), "a" * 10_000
    found = await asyncio.gather(*(judge.decide(long if n % 2 else "b", graph) for n in range(3_000)))
    assert [one.agent for one in found] == [None if n % 2 else "b" for n in range(3_000)]
    assert len(learner.calls) <= 2 + 3_000 // TOGETHER


async def test_close_while_learning_leaves_nothing_behind(judge: Judge, learner: Learner) -> None:
    learner.may_learn.clear()
    judge.learn_soon(Graph(OLD), "a")
    await until(lambda: judge._learning is not None)
    judge.close()
    await until(lambda: bool(judge._learning and judge._learning.cancelled()))
    assert judge._warming is not None
    await until(judge._warming.done)
    learner.may_learn.set()


@pytest.mark.parametrize(("name", "shown"), [("ghost", "'ghost'"), ("d", "'d'"), ("b", "'b'"), (7, "7")])
async def test_a_choice_that_was_not_to_choose_from_is_nobodys(name: str, shown: str) -> None:
    class Stray(ScriptedClassifier):
        def classify(self, text: str, cards: Sequence[Card]) -> RouteDecision:
            return RouteDecision(name, "s", 0.9, None, 0.9, "own", best=name, scores={name: 0.9, "a": 0.1})

    decision = await Judge(Stray, false_share=0.02).decide("x", Graph(NEW), without=frozenset({"b"}))
    assert (decision.agent, decision.skill, decision.best, dict(decision.scores)) == (None, None, None, {"a": 0.1})
    assert decision.note == f"the classifier chose {shown}, which is not to choose from"


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), 7.0, -0.1])
async def test_numbers_that_are_no_shares_are_nobodys(odd: float) -> None:
    class Odd:
        def classify(self, text: str, cards: Sequence[Card]) -> RouteDecision:
            return RouteDecision("a", None, odd, None, 0.0, "mine", best="a", scores={"a": odd})

    decision = await Judge(Odd, false_share=0.02).decide("a", Graph(OLD))
    assert (decision.agent, decision.confidence, dict(decision.scores)) == (None, 0.0, {})
    assert decision.note == f"the classifier returned {odd!r} for a number from 0 to 1"


async def test_a_classifier_that_returns_no_decision_is_told_so() -> None:
    class Plain(ScriptedClassifier):
        def classify(self, text: str, cards: Sequence[Card]) -> RouteDecision:
            return "a"  # type: ignore[return-value]

    with pytest.raises(PermanentError, match="the classifier returned str; a RouteDecision is needed"):
        await Judge(Plain, false_share=0.02).decide("x", Graph(OLD))
