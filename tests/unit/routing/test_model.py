import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.card import Card, SkillCard
from baton.routing import model as module
from baton.routing.model import OfflineModel
from baton.routing.softmax import Prototypes
from baton.routing.training_set import collect


@pytest.fixture(scope="module")
def model(desk: tuple[Card, ...]) -> OfflineModel:
    return OfflineModel(collect(desk))


def row_of(model: OfflineModel, text: str) -> int:
    return model.training.texts.index(text)


@given(text=st.text(max_size=60))
def test_agents_sum_their_skills_and_leave_the_rest_to_the_background(model: OfflineModel, text: str) -> None:
    scores = model.scores([text])
    per_agent = [scores.skills[0, model.training.agent_of[:-1] == n].sum() for n in range(3)]
    assert np.allclose(scores.agents[0], per_agent, atol=1e-5)
    assert 0.0 < scores.agents[0].sum() < 1.0


def test_the_background_takes_what_nobody_handles(model: OfflineModel) -> None:
    assert model.scores(["why is the sky blue"]).agents.sum() < 0.5
    assert model.scores(["the boiler is cold"]).agents.sum() > 0.8


def test_the_nearest_text_is_looked_for_in_each_agent(model: OfflineModel) -> None:
    nearest = model.scores(["the gutter is blocked"]).nearest[0]
    assert nearest[2] == pytest.approx(1.0, abs=1e-5)
    assert nearest[:2].max() < 0.5


def test_confidence_needs_a_likely_agent_and_a_familiar_text(model: OfflineModel) -> None:
    scores = model.scores(["water drips somewhere", "zebras sleep standing"])
    assert scores.confidences() == pytest.approx(np.sqrt(scores.agents.max(axis=1)) * scores.familiar)
    assert scores.familiar[0] > 2 * scores.familiar[1]


def test_agents_are_left_out_of_a_decision_as_if_they_had_no_card(model: OfflineModel) -> None:
    scores = model.scores(["the tap is leaking", "cut the grass please"], frozenset({"plumbing"}))
    assert np.all(scores.agents[:, 1] == 0.0)
    assert np.all(scores.nearest[:, 1] == 0.0)
    with_all = model.scores(["the tap is leaking", "cut the grass please"])
    assert scores.confidences()[0] < 0.5 * with_all.confidences()[0]
    assert scores.confidences()[1] == pytest.approx(with_all.confidences()[1], rel=0.1)


def test_a_text_that_is_left_out_is_recognised_by_the_others_only(model: OfflineModel) -> None:
    row = row_of(model, "my tap is leaking")
    known = model.scores(["my tap is leaking"])
    left_out = model.scores_left_out(np.array([row]), agent_too=False)
    assert known.nearest[0, 1] == pytest.approx(1.0, abs=1e-5)
    assert left_out.nearest[0, 1] < 0.9
    assert left_out.agents[0, 1] < known.agents[0, 1]
    assert left_out.best()[0] == 1


def test_an_agent_that_is_left_out_has_no_part(model: OfflineModel) -> None:
    rows = np.array([row_of(model, "my tap is leaking"), row_of(model, "my grass is knee high")])
    scores = model.scores_left_out(rows, agent_too=True)
    for place, agent in enumerate((1, 0)):
        assert scores.agents[place, agent] == 0.0
        assert scores.nearest[place, agent] == 0.0
    assert np.all(scores.agents.sum(axis=1) > 0.0)


def test_the_skill_is_the_likeliest_of_its_agent(model: OfflineModel) -> None:
    scores = model.scores(["boiler error"])
    assert model.best_skill(scores, 0, 1) == "broken boiler"
    assert model.best_skill(model.scores(["my tap leaks"]), 0, 1) == "leaking tap"
    assert model.best_skill(scores, 0, 2) is None


def test_too_much_is_left_to_prototypes(monkeypatch: pytest.MonkeyPatch, desk: tuple[Card, ...]) -> None:
    monkeypatch.setattr(module, "affordable_iterations", lambda texts, classes: 0)
    model = OfflineModel(collect(desk))
    assert isinstance(model._head, Prototypes)
    for text, agent in (("the tap is leaking", 1), ("mow my lawn", 0), ("rain through the tiles", 2)):
        assert model.scores([text]).best()[0] == agent
    row = row_of(model, "my tap is leaking")
    assert model.scores_left_out(np.array([row]), agent_too=False).best()[0] == 1
    assert model.held_out.is_right.mean() > 0.8


def test_the_background_does_not_drown_a_skill_of_two_texts() -> None:
    model = OfflineModel(collect([Card(name="shoes", description="", examples=("resole my boots",))]))
    assert model.scores(["could you resole a pair of boots for me"]).agents[0, 0] > 0.5


def desk_of(skills: int, examples: int) -> list[Card]:
    """Return cards of two agents; an example has one word of its own, and two of its skill."""
    return [
        Card(
            name=agent,
            description="",
            skills=tuple(
                SkillCard(
                    name=f"{agent} thing{skill}",
                    examples=tuple(f"do {agent} thing{skill} word{number}" for number in range(examples)),
                )
                for skill in range(skills)
            ),
        )
        for agent in ("left", "right")
    ]


def test_examples_are_judged_by_models_that_have_not_seen_them(model: OfflineModel) -> None:
    rows = np.flatnonzero(model.training.is_example)
    known = model.scores([model.training.texts[row] for row in rows]).confidences()
    assert len(model.held_out.confidences) == len(model.held_out.is_right) == len(rows)
    assert np.median(model.held_out.confidences) < 0.8 * np.median(known)


def test_an_example_that_is_held_out_scores_as_a_request_that_nobody_gave() -> None:
    cards = desk_of(3, 5)
    model = OfflineModel(collect(cards))
    fold = set(model.training.folds()[0].tolist())
    texts = [text for row, text in enumerate(model.training.texts) if row in fold]
    fewer = [
        card.model_copy(
            update={
                "skills": tuple(
                    skill.model_copy(update={"examples": tuple(e for e in skill.examples if e not in texts)})
                    for skill in card.skills
                )
            }
        )
        for card in cards
    ]
    asked = OfflineModel(collect(fewer)).scores(texts).confidences()
    assert model.held_out.confidences[: len(texts)] == pytest.approx(asked, abs=0.03)


@pytest.mark.parametrize("examples", [1, 5, 40])
def test_enough_examples_are_judged_and_no_more(examples: int) -> None:
    model = OfflineModel(collect(desk_of(5, examples)))
    assert len(model.held_out.is_right) == min(10 * examples, 240)
    assert model.held_out.is_right.mean() > 0.9


def test_cards_without_examples_have_none_to_judge() -> None:
    model = OfflineModel(collect(desk_of(2, 0)))
    assert (model.held_out.confidences.shape, model.held_out.is_right.shape) == ((0,), (0,))
