import pytest

from baton.card import Card, SkillCard
from baton.routing.card_set import card_set_hash


def test_order_of_cards_and_skills_plays_no_part(desk: tuple[Card, ...]) -> None:
    turned = [card.model_copy(update={"skills": card.skills[::-1]}) for card in desk[::-1]]
    assert card_set_hash(turned) == card_set_hash(desk)


def test_the_hash_is_the_same_for_ever() -> None:
    card = Card(name="a", description="b", skills=(SkillCard(name="c", examples=("ß",)),), examples=("d",))
    assert card_set_hash([card]) == "c6dab47c8309107725d3b1ce7aca7ed61f091d593c5111e0db015e92d7715fda"


@pytest.mark.parametrize(
    "change",
    [
        {"name": "hedges"},
        {"description": "Trees"},
        {"examples": ("my tree fell",)},
        {"skills": ()},
        {"skills": (SkillCard(name="prune a hedge"),)},
    ],
)
def test_what_is_learnt_from_changes_the_hash(desk: tuple[Card, ...], change: dict[str, object]) -> None:
    assert card_set_hash([desk[0].model_copy(update=change), *desk[1:]]) != card_set_hash(desk)


@pytest.mark.parametrize("change", [{"entry": False}, {"targets": ("roofing",)}, {"version": "2"}])
def test_what_plays_no_part_does_not(desk: tuple[Card, ...], change: dict[str, object]) -> None:
    assert card_set_hash([desk[0].model_copy(update=change), *desk[1:]]) == card_set_hash(desk)


def test_texts_do_not_run_together() -> None:
    one = Card(name="a", description="b", examples=("c", "d"))
    assert card_set_hash([one]) != card_set_hash([one.model_copy(update={"examples": ("c d",)})])
    skill = Card(name="a", description="b", skills=(SkillCard(name="c", examples=("d",)),))
    assert card_set_hash([one]) != card_set_hash([skill])
