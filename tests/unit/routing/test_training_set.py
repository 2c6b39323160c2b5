import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from baton.card import Card, SkillCard
from baton.routing import training_set
from baton.routing.training_set import FOLDS, background, collect


def texts_of(cards: tuple[Card, ...], agent: str, skill: str | None) -> set[str]:
    found = collect(cards)
    wanted = [
        index
        for index, name in enumerate(found.skills)
        if name == skill and found.agents[found.agent_of[index]] == agent
    ]
    return {text for text, index in zip(found.texts, found.skill_of, strict=True) if index in wanted}


def test_a_skill_is_learnt_from_its_name_and_examples(desk: tuple[Card, ...]) -> None:
    expected = {"leaking tap", "the tap drips all night", "my tap is leaking", "water drips from the tap"}
    assert texts_of(desk, "plumbing", "leaking tap") == expected


def test_name_description_and_loose_examples_make_an_unnamed_skill(desk: tuple[Card, ...]) -> None:
    assert texts_of(desk, "garden", None) == {"garden", "plants lawns and hedges"}
    expected = {"a tile fell off the roof", "rain comes through the roof", "the gutter is blocked"}
    assert texts_of(desk, "roofing", None) == expected | {"roofing", "roofs tiles and gutters"}


def test_only_requests_are_examples(desk: tuple[Card, ...]) -> None:
    found = collect(desk)
    examples = {text for text, is_example in zip(found.texts, found.is_example, strict=True) if is_example}
    assert examples == {e for card in desk for e in card.examples} | {
        example.lower() for card in desk for skill in card.skills for example in skill.examples
    }


def test_everything_is_grouped_and_the_background_is_last(desk: tuple[Card, ...]) -> None:
    found = collect(desk[::-1])
    assert found.agents == ("garden", "plumbing", "roofing")
    assert np.all(np.diff(found.skill_of) >= 0)
    assert np.all(np.diff(found.agent_of) >= 0)
    assert len(found.agent_of) == len(found.skills) + 1
    assert found.agent_of[-1] == len(found.agents)
    assert found.texts[-len(background()) :] == background()
    assert collect(desk).texts == found.texts


def test_every_skill_has_a_text_whatever_it_is_called() -> None:
    odd = Card(name="a", description="", skills=(SkillCard(name="???", examples=("", "  ", "!")),))
    found = collect([odd])
    assert set(found.skill_of) == set(range(len(found.skills) + 1))
    assert not found.is_example.any()


def test_equal_texts_count_once() -> None:
    skill = SkillCard(name="Leaking tap", examples=("leaking TAP!", "my tap", "my tap", "My tap?"))
    found = collect([Card(name="a", description="b", skills=(skill,))])
    assert sorted(found.texts[: -len(background())]) == ["a", "b", "leaking tap", "my tap"]


def test_skills_of_one_name_are_one_skill() -> None:
    skills = (SkillCard(name="pay", examples=("pay it",)), SkillCard(name="pay", examples=("pay now",)))
    assert collect([Card(name="a", description="b", skills=skills)]).skills == (None, "pay")


def test_a_flood_of_examples_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    many = tuple(f"request number {n}" for n in range(200))
    card = Card(name="a", description="b", skills=(SkillCard(name="c", examples=many),))
    assert collect([card]).is_example.sum() == training_set.MAX_EXAMPLES
    monkeypatch.setattr(training_set, "MAX_TEXTS", 20)
    assert len(collect([card]).texts) - len(background()) <= 20


def test_background_is_about_a_hundred_different_requests() -> None:
    assert 80 <= len(set(background())) == len(background()) <= 150
    assert all(background())


@given(counts=st.lists(st.integers(0, 12), min_size=1, max_size=8))
def test_examples_are_dealt_out_evenly(counts: list[int]) -> None:
    skills = [
        SkillCard(name=f"skill {place}", examples=tuple(f"example {place} {number}" for number in range(count)))
        for place, count in enumerate(counts)
    ]
    found = collect([Card(name="a", description="b", skills=tuple(skills))])
    folds = found.folds()
    assert sorted(row for fold in folds for row in fold) == np.flatnonzero(found.is_example).tolist()
    assert all(len(fold) for fold in folds)
    assert len(folds) <= FOLDS
    for skill in set(found.skill_of):
        held = [int(np.sum(found.skill_of[fold] == skill)) for fold in folds]
        assert max(held, default=0) - min(held, default=0) <= 1


def test_skills_with_a_single_example_are_dealt_out_among_each_other() -> None:
    skills = tuple(SkillCard(name=f"skill {place}", examples=(f"example {place}",)) for place in range(2 * FOLDS))
    folds = collect([Card(name="a", description="b", skills=skills)]).folds()
    assert [len(fold) for fold in folds] == [2] * FOLDS
