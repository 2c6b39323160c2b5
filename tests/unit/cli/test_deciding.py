"""How evaluations call a classifier, and the recogniser after it."""

from collections.abc import Sequence

import pytest

from baton.card import Card
from baton.cli import deciding
from baton.errors import ConfigError
from baton.evaluation.dialogues import DialogueTurn
from baton.routing.decision import RouteDecision
from baton.testing import ScriptedClassifier

CARDS = [Card(name="a", description=""), Card(name="b", description="")]
TEXTS = [str(place) for place in range(deciding.BATCH + 3)]


def decision(text: str, **scores: float) -> RouteDecision:
    best = max(scores, key=lambda name: scores[name]) if scores else "a"
    return RouteDecision(best, text, 0.9, None, 0.9, "test", best=best, scores=scores)


class OneByOne:
    """Remembers the sizes of what it is given."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def classify(self, text: str, cards: Sequence[Card]) -> RouteDecision:
        self.sizes.append(1)
        return decision(text)


class Together(OneByOne):
    def classify_many(self, texts: Sequence[str], cards: Sequence[Card]) -> list[RouteDecision]:
        self.sizes.append(len(texts))
        return [decision(text) for text in texts]


@pytest.mark.parametrize(
    ("classifier", "sizes"), [(OneByOne(), [1] * len(TEXTS)), (Together(), [deciding.BATCH, 3])], ids=["one", "many"]
)
def test_texts_are_classified_together_where_that_can_be_and_in_order(classifier: OneByOne, sizes: list[int]) -> None:
    steps: list[int] = []
    found = deciding.decide_all(classifier, TEXTS, CARDS, lambda: steps.append(1))
    assert [one.skill for one in found] == TEXTS
    assert classifier.sizes == sizes
    assert len(steps) == len(TEXTS)


def test_without_an_agent_there_is_nothing_to_decide() -> None:
    with pytest.raises(ConfigError, match="no agent to choose from"):
        deciding.decide_all(OneByOne(), TEXTS, [])


def test_only_a_confident_shift_hands_off() -> None:
    turn = DialogueTurn("d", "x", "switch", "a", "b")
    assert deciding.handed_off(ScriptedClassifier(), decision("x", a=0.1, b=0.9), turn, budget=0.02) == "b"
    assert deciding.handed_off(ScriptedClassifier(), decision("x", a=0.3, b=0.6), turn, budget=0.02) is None
    assert deciding.handed_off(ScriptedClassifier(), decision("x", a=0.9, b=0.1), turn, budget=0.02) is None


def test_the_classifier_without_an_encoder_can_be_asked_for() -> None:
    from baton.routing.offline import OfflineClassifier

    assert isinstance(deciding.classifier_for(is_lexical=True, foreign=["x"]), OfflineClassifier)
