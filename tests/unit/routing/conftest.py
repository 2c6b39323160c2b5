"""A desk whose three agents each have an area of their own."""

import pytest

from baton.card import Card, SkillCard


@pytest.fixture(scope="session")
def desk() -> tuple[Card, ...]:
    return (
        Card(
            name="garden",
            description="Plants, lawns and hedges",
            skills=(
                SkillCard(
                    name="prune a hedge",
                    examples=("cut my hedge back", "the hedge has grown too high", "trim the hedge in May"),
                ),
                SkillCard(
                    name="mow the lawn",
                    examples=("the lawn needs mowing", "cut the grass please", "my grass is knee high"),
                ),
            ),
        ),
        Card(
            name="plumbing",
            description="Pipes, taps and boilers",
            skills=(
                SkillCard(
                    name="leaking tap",
                    examples=("the tap drips all night", "my tap is leaking", "water drips from the tap"),
                ),
                SkillCard(
                    name="broken boiler",
                    examples=("the boiler is cold", "no hot water from the boiler", "boiler shows an error"),
                ),
            ),
        ),
        Card(
            name="roofing",
            description="Roofs, tiles and gutters",
            examples=("a tile fell off the roof", "rain comes through the roof", "the gutter is blocked"),
        ),
    )
