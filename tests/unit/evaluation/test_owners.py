"""Whose a labelled row is."""

import pytest

from baton.card import Card, SkillCard
from baton.errors import ConfigError
from baton.evaluation.owners import Owners
from baton.evaluation.rows import Departments, LabelledRow

NOBODY = Departments()


def row(intent: str | None, agent: str | None = None) -> LabelledRow:
    return LabelledRow(3, "text", intent, agent)


def test_each_intent_is_an_agent_where_rows_name_none() -> None:
    owners = Owners.of_rows([row("Lost card?"), row("pin")], NOBODY, by_agent=False)
    assert owners.all([row("pin"), row("Lost card?"), row("oos")], "f") == ["pin", "lost-card", None]


def test_rows_name_their_agent_or_the_intent_that_was_learnt_with_it() -> None:
    owners = Owners.of_rows([row("pin", "cards"), row("rate", "exchange")], NOBODY, by_agent=True)
    assert owners.all([row("pin", "cards"), row("rate"), row("pin", "exchange")], "f") == [
        "cards",
        "exchange",
        "exchange",
    ]


def test_agents_of_rows_may_be_left_out_of_account() -> None:
    owners = Owners.of_rows([row("pin", "cards")], NOBODY, by_agent=False)
    assert owners.find(row("pin", "cards")) == "pin"


def test_departments_that_are_given_win() -> None:
    departments = Departments({"pin": "account"})
    card = Card(name="account", description="")
    assert Owners.of_cards([card], departments, by_agent=True).find(row("pin", "cards")) == "account"
    assert Owners.of_rows([row("pin")], departments, by_agent=True).find(row("pin")) == "account"


def test_an_intent_may_be_a_skill_of_one_card() -> None:
    cards = [
        Card(name="cards", description="", skills=(SkillCard(name="Lost card"), SkillCard(name="fees"))),
        Card(name="cash_desk", description="", skills=(SkillCard(name="fees"),)),
    ]
    owners = Owners.of_cards(cards, NOBODY, by_agent=True)
    assert owners.find(row("lost_card")) == "cards"
    assert owners.find(row("Cash desk")) == "cash_desk"
    assert owners.find(row("fees")) is None


def test_rows_of_nobody_are_named_once_each_with_the_agents_there_are() -> None:
    cards = [Card(name=f"agent{place}", description="") for place in range(10)]
    owners = Owners.of_cards(cards, NOBODY, by_agent=True)
    with pytest.raises(ConfigError) as raised:
        owners.all([row("x"), row("x"), row(None, "y"), row("agent1")], "rows.jsonl")
    first, second = raised.value.problems
    assert first.startswith("'rows.jsonl' line 3: 'x' is none of the agents agent0, agent1,")
    assert first.endswith("and 2 more")
    assert "'y'" in second
