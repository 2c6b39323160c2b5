import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.card import Card
from baton.routing import model as module
from baton.routing.model import LexicalModel
from baton.routing.softmax import Prototypes
from baton.routing.training_set import collect


@pytest.fixture(scope="module")
def model(desk: tuple[Card, ...]) -> LexicalModel:
    return LexicalModel(collect(desk))


def row_of(model: LexicalModel, text: str) -> int:
    return model.training.texts.index(text)


@given(text=st.text(max_size=60))
def test_agents_sum_their_skills_and_leave_the_rest_to_the_background(model: LexicalModel, text: str) -> None:
    scores = model.scores(text)
    per_agent = [scores.skills[0, model.training.agent_of[:-1] == n].sum() for n in range(3)]
    assert np.allclose(scores.agents[0], per_agent, atol=1e-5)
    assert 0.0 < scores.agents[0].sum() < 1.0


def test_the_background_takes_what_nobody_handles(model: LexicalModel) -> None:
    assert model.scores("why is the sky blue").agents.sum() < 0.5
    assert model.scores("the boiler is cold").agents.sum() > 0.8


def test_the_nearest_text_is_looked_for_in_each_agent(model: LexicalModel) -> None:
    nearest = model.scores("the gutter is blocked").nearest[0]
    assert nearest[2] == pytest.approx(1.0, abs=1e-5)
    assert nearest[:2].max() < 0.5


def test_confidence_is_probability_times_similarity_of_the_best(model: LexicalModel) -> None:
    scores = model.scores("water drips somewhere")
    best = int(scores.agents[0].argmax())
    assert scores.confidences()[0] == pytest.approx(scores.agents[0, best] * scores.nearest[0, best])
    assert scores.confidences()[0] < scores.agents[0, best]


def test_a_text_that_is_left_out_is_recognised_by_the_others_only(model: LexicalModel) -> None:
    row = row_of(model, "my tap is leaking")
    known = model.scores("my tap is leaking")
    left_out = model.scores_left_out(np.array([row]), agent_too=False)
    assert known.nearest[0, 1] == pytest.approx(1.0, abs=1e-5)
    assert left_out.nearest[0, 1] < 0.9
    assert left_out.agents[0, 1] < known.agents[0, 1]
    assert left_out.best()[0] == 1


def test_an_agent_that_is_left_out_has_no_part(model: LexicalModel) -> None:
    rows = np.array([row_of(model, "my tap is leaking"), row_of(model, "my grass is knee high")])
    scores = model.scores_left_out(rows, agent_too=True)
    for place, agent in enumerate((1, 0)):
        assert scores.agents[place, agent] == 0.0
        assert scores.nearest[place, agent] == 0.0
    assert np.all(scores.agents.sum(axis=1) > 0.0)


def test_the_skill_is_the_likeliest_of_its_agent(model: LexicalModel) -> None:
    scores = model.scores("boiler error")
    assert model.best_skill(scores, 1) == "broken boiler"
    assert model.best_skill(model.scores("my tap leaks"), 1) == "leaking tap"
    assert model.best_skill(scores, 2) is None


def test_too_much_is_left_to_prototypes(monkeypatch: pytest.MonkeyPatch, desk: tuple[Card, ...]) -> None:
    monkeypatch.setattr(module, "affordable_iterations", lambda texts, classes: 0)
    model = LexicalModel(collect(desk))
    assert isinstance(model._head, Prototypes)
    for text, agent in (("the tap is leaking", 1), ("mow my lawn", 0), ("rain through the tiles", 2)):
        assert model.scores(text).best()[0] == agent
    row = row_of(model, "my tap is leaking")
    assert model.scores_left_out(np.array([row]), agent_too=False).best()[0] == 1


def test_the_background_does_not_drown_a_skill_of_two_texts() -> None:
    model = LexicalModel(collect([Card(name="shoes", description="", examples=("resole my boots",))]))
    assert model.scores("could you resole a pair of boots for me").agents[0, 0] > 0.5
