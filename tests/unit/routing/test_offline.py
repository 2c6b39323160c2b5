import asyncio
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import baton
from baton.card import Card, SkillCard
from baton.routing import offline
from baton.routing.minilm import encoder
from baton.routing.model import OfflineModel
from baton.routing.offline import OfflineClassifier
from baton.routing.training_set import TrainingSet

REQUESTS = {
    "my kitchen tap leaks": ("plumbing", "leaking tap"),
    "the boiler stays cold": ("plumbing", "broken boiler"),
    "please trim our hedge": ("garden", "prune a hedge"),
    "it rains in through the roof": ("roofing", None),
}
FOREIGN = ("who won the football match", "write me a poem", "ok thanks", "yes", "Friday")


@pytest.fixture(scope="module", params=["lexical", "minilm"])
def classifier(request: pytest.FixtureRequest) -> OfflineClassifier:
    return OfflineClassifier(encoder() if request.param == "minilm" else None)


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts trainings by the number of texts in each."""
    seen: list[int] = []
    original = OfflineModel.__init__

    def counted(self: OfflineModel, training: TrainingSet, *more: Any) -> None:
        seen.append(len(training.texts))
        original(self, training, *more)

    monkeypatch.setattr(OfflineModel, "__init__", counted)
    return seen


@pytest.mark.parametrize("text", REQUESTS)
def test_a_request_goes_to_the_agent_and_skill_that_know_it(
    classifier: OfflineClassifier, desk: tuple[Card, ...], text: str
) -> None:
    decision = classifier.classify(text, desk)
    assert (decision.agent, decision.skill) == REQUESTS[text]
    assert decision.best == decision.agent
    assert decision.method == classifier.method
    assert decision.confidence >= decision.threshold > 0.0


@pytest.mark.parametrize("text", FOREIGN)
def test_foreign_texts_are_nobodys(classifier: OfflineClassifier, desk: tuple[Card, ...], text: str) -> None:
    decision = classifier.classify(text, desk)
    assert (decision.agent, decision.skill) == (None, None)
    assert decision.best in {card.name for card in desk}
    assert decision.confidence < decision.threshold


def test_the_scores_tell_the_choice(classifier: OfflineClassifier, desk: tuple[Card, ...]) -> None:
    decision = classifier.classify("a drip from the roof tiles", desk)
    first, second, _ = sorted(decision.scores, key=lambda name: -decision.scores[name])
    assert (decision.best, decision.runner_up) == (first, second)
    assert decision.margin == pytest.approx(decision.scores[first] - decision.scores[second], abs=2e-6)


@pytest.mark.parametrize("text", ["", " ", "?!", "🙂🙂", "１２３", "日本語", "שלום", "x" * 200_000])
def test_texts_that_resemble_nothing_are_nobodys(
    classifier: OfflineClassifier, desk: tuple[Card, ...], text: str
) -> None:
    decision = classifier.classify(text, desk)
    assert decision.agent is None


def test_cards_in_other_scripts_are_learnt(classifier: OfflineClassifier) -> None:
    cards = [
        Card(name="lost", description="紛失", examples=("カードをなくしました", "カードを紛失しました")),
        Card(name="fees", description="עמלות", examples=("כמה עולה העברה", "מה העמלה על משיכה")),
        Card(name="fire", description="🔥", examples=("🔥🔥 help", "house 🔥")),
    ]
    for text, agent in (("カードなくした", "lost"), ("מה העמלה", "fees"), ("🔥🔥🔥", "fire")):
        assert classifier.classify(text, cards).agent == agent


def test_without_cards_it_abstains(classifier: OfflineClassifier) -> None:
    decision = classifier.classify("my tap leaks", [])
    assert (decision.agent, decision.best, decision.runner_up) == (None, None, None)
    assert (decision.confidence, dict(decision.scores)) == (0.0, {})


def test_one_card_is_chosen_or_not(classifier: OfflineClassifier, desk: tuple[Card, ...]) -> None:
    mine, foreign = (classifier.classify(text, desk[1:2]) for text in ("my tap leaks", "tell me a joke"))
    assert mine.agent == "plumbing"
    assert foreign.agent is None
    assert mine.runner_up is None
    assert mine.margin == mine.scores["plumbing"]


def test_names_and_descriptions_alone_do_for_plain_requests(
    classifier: OfflineClassifier, desk: tuple[Card, ...]
) -> None:
    bare = [
        card.model_copy(update={"examples": (), "skills": tuple(SkillCard(name=s.name) for s in card.skills)})
        for card in desk
    ]
    assert classifier.classify("I have a leaking tap", bare).skill == "leaking tap"
    assert classifier.classify("roof tiles", bare).agent == "roofing"
    assert classifier.classify("tell me a joke", bare).agent is None


def test_two_agents_with_the_same_examples_are_equally_likely(classifier: OfflineClassifier) -> None:
    first = Card(name="qqq", description="", examples=("sell my boat", "buy a boat"))
    twins = [first, first.model_copy(update={"name": "jjj"})]
    decision = classifier.classify("sell a boat", twins)
    assert decision.scores["qqq"] == pytest.approx(decision.scores["jjj"], abs=0.03)
    assert decision.scores["qqq"] > 0.3
    assert decision.margin < 0.03


def test_the_first_example_of_the_documentation_finds_its_agent(classifier: OfflineClassifier) -> None:
    cards = [
        Card(
            name="cards",
            description="Lost, stolen or broken cards",
            examples=("I lost my card", "my card was stolen"),
        )
    ]
    text = "my card was stolen and there is a payment I did not make"
    assert classifier.classify(text, cards).agent == "cards"
    cards.append(Card(name="disputes", description="Payments the customer did not make"))
    assert classifier.classify(text, cards).agent == "cards"


@given(text=st.text(max_size=200))
def test_any_text_gives_a_decision(classifier: OfflineClassifier, desk: tuple[Card, ...], text: str) -> None:
    decision = classifier.classify(text, desk)
    assert 0.0 <= decision.confidence <= 1.0
    assert 0.0 <= decision.margin <= 1.0
    assert 0.0 <= sum(decision.scores.values()) <= 1.0 + 1e-5
    assert (decision.agent is None) == (decision.confidence < decision.threshold)
    assert decision.best == max(sorted(decision.scores), key=lambda name: decision.scores[name])


@settings(max_examples=12)
@given(order=st.permutations(range(3)), text=st.sampled_from([*REQUESTS, *FOREIGN]))
def test_the_order_of_cards_and_skills_changes_nothing(
    classifier: OfflineClassifier, desk: tuple[Card, ...], order: Sequence[int], text: str
) -> None:
    turned = [desk[n].model_copy(update={"skills": desk[n].skills[::-1]}) for n in order]
    assert OfflineClassifier(classifier._encoder).classify(text, turned) == classifier.classify(text, desk)


SCRIPT = """
from baton.card import Card, SkillCard
from baton.routing.offline import OfflineClassifier
cards = [Card(name=n, description=n * 3, skills=(SkillCard(name=f"{n} one", examples=(f"do {n}", f"go {n} ß")),),
              examples=(f"{n} is broken", f"where is {n}")) for n in ("alpha", "beta", "gamma")]
print([OfflineClassifier().classify(t, cards) for t in ("is beta broken", "do go", "日本 alpha")])
"""


def test_two_processes_decide_alike() -> None:
    path = str(Path(baton.__file__).parents[1])
    said = [
        subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert said[0] == said[1]
    assert "agent='beta'" in said[0]


def test_it_trains_once_per_set_of_cards(desk: tuple[Card, ...], trainings: list[int]) -> None:
    classifier = OfflineClassifier()
    copies = [card.model_copy(deep=True) for card in desk]
    for cards in (desk, desk[::-1], copies, desk[:2], desk):
        classifier.classify("my tap leaks", cards)
    assert len(trainings) == 2


def test_a_new_card_is_routable_at_once(desk: tuple[Card, ...]) -> None:
    classifier = OfflineClassifier()
    assert classifier.classify("my cat is ill", desk).agent is None
    vet = Card(name="vet", description="Sick animals", examples=("my cat is ill", "my dog is lame"))
    assert classifier.classify("my cat is ill", [*desk, vet]).agent == "vet"
    assert classifier.classify("my cat is ill", desk).agent is None


def test_models_of_old_cards_are_dropped(desk: tuple[Card, ...]) -> None:
    classifier = OfflineClassifier()
    for number in range(10):
        classifier.classify("x", [desk[0].model_copy(update={"description": f"Area {number}"})])
    assert len(classifier._models) == 8


def test_callers_in_threads_share_one_training(desk: tuple[Card, ...], trainings: list[int]) -> None:
    classifier = OfflineClassifier()
    found: list[str | None] = []

    def classify() -> None:
        found.append(classifier.classify("my tap leaks", list(desk)).agent)

    threads = [Thread(target=classify) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == ["plumbing"] * 6
    assert len(trainings) == 1


ODD = {
    "nothing but names": [Card(name=name, description="") for name in ("a", "b")],
    "empty examples": [Card(name="a", description="", skills=(SkillCard(name="s", examples=("", " ", "?")),))],
    "all of it twice": [
        Card(
            name="a",
            description="do it",
            skills=(SkillCard(name="s", examples=("do it", "do it")), SkillCard(name="s", examples=("do it",))),
            examples=("do it", "do it"),
        )
    ]
    * 2,
    "no characters": [
        Card(name="a", description="\ud800 x", examples=("\udcff", "lost \ud800 card", "\0", "🙂")),
        Card(name="b", description="\0", examples=("x" * 100_000, "word " * 20_000, "\u202eabc", "日本語")),
    ],
}
ODD_TEXTS = (
    "",
    "\0",
    "a\0b",
    "\ud800",
    "lost \udcff card",
    "日本",
    "שלום",
    "🙂" * 1_000,
    "word " * 20_000,
    "ﷺ" * 2_000,
)


@pytest.mark.parametrize("cards", ODD.values(), ids=ODD)
def test_odd_cards_and_texts_give_a_decision(classifier: OfflineClassifier, cards: list[Card]) -> None:
    for decision in classifier.classify_many(ODD_TEXTS, cards):
        assert 0.0 <= decision.confidence <= 1.0
        assert decision.best in {card.name for card in cards}
        assert sum(decision.scores.values()) <= 1.0 + 1e-5
    assert -1.0 <= classifier.likeness("lost \ud800 card", "word " * 20_000) <= 1.0


def test_cards_with_too_many_texts_to_encode_are_read_by_their_words_which_is_said_once(
    desk: tuple[Card, ...], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(offline, "ENCODED_TEXTS", 5)
    classifier = OfflineClassifier(encoder())
    for cards in (desk, desk[:2]):
        decision = classifier.classify("my tap leaks", cards)
        assert (decision.agent, decision.method) == ("plumbing", "lexical")
        assert str(decision.model).startswith("lexical/")
    (told,) = caplog.records
    assert "routing by words alone: the cards have" in told.getMessage()
    OfflineClassifier().classify("my tap leaks", desk)
    assert len(caplog.records) == 1


async def test_it_can_be_called_off_the_event_loop(desk: tuple[Card, ...]) -> None:
    decision = await asyncio.to_thread(OfflineClassifier().classify, "my tap leaks", desk)
    assert decision.agent == "plumbing"


def test_a_greater_share_makes_it_more_careful(desk: tuple[Card, ...]) -> None:
    careful, bold = (OfflineClassifier(reject_share=share).classify("x", desk) for share in (0.9, 0.0))
    assert careful.threshold > bold.threshold


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="0 to 1"):
        OfflineClassifier(reject_share=share)


def test_thousands_of_skills_are_learnt_without_a_matrix_of_all_pairs(trainings: list[int]) -> None:
    cards = [
        Card(
            name=f"agent-{a}",
            description=f"Area {a}",
            skills=tuple(SkillCard(name=f"thing q{a}j{s}", examples=(f"do z{a}y{s}x",)) for s in range(100)),
        )
        for a in range(22)
    ]
    decision = OfflineClassifier().classify("please do z7y33x", cards)
    assert (decision.best, decision.agent) == ("agent-7", "agent-7")
    assert trainings[0] > 4_096


def test_an_unsure_decision_has_the_skill_of_the_likeliest_agent(
    classifier: OfflineClassifier, desk: tuple[Card, ...]
) -> None:
    sure, unsure = classifier.classify_many(["my kitchen tap leaks", "who won the football match"], desk)
    assert (sure.skill, sure.best_skill, unsure.agent, unsure.skill) == ("leaking tap", "leaking tap", None, None)
    card = next(card for card in desk if card.name == unsure.best)
    assert unsure.best_skill in {None, *(skill.name for skill in card.skills)}
    assert (unsure.best_skill is None) == (not card.skills)


def test_what_the_cards_tell_of_foreign_requests_lies_mostly_below_their_threshold(
    classifier: OfflineClassifier, desk: tuple[Card, ...]
) -> None:
    kinds = classifier.foreign_confidences(desk)
    threshold = classifier.classify("hello", desk).threshold
    assert len(kinds) == 2
    for kind in kinds:
        assert all(0.0 <= confidence <= 1.0 for confidence in kind)
        assert sum(confidence < threshold for confidence in kind) > 0.6 * len(kind)
