"""Agents: names, skills and handlers; edges, which say who may hand off to whom."""

from typing import Any

import pytest

from baton import Agent, Answer, Edge, Group, Rule, Turn
from baton.errors import TeamError


def agent(name: str = "cards", **changes: Any) -> Agent:
    return Agent(name, f"All about {name}", **changes)


async def answer(turn: Turn) -> Answer:
    return Answer("done")


@pytest.mark.parametrize("name", ["a", "cards", "a-b_c9", "x" * 48])
def test_an_agent_may_have_any_name_that_can_name_a_queue(name: str) -> None:
    assert agent(name).name == name


@pytest.mark.parametrize("name", ["", "Cards", "9lives", "_a", "a b", "a.b", "cards\n", "é", "x" * 49, 7, None])
def test_any_other_name_is_refused_with_the_pattern(name: Any) -> None:
    with pytest.raises(TeamError, match=r"\[a-z\]\[a-z0-9_-\]\{0,47\}"):
        agent(name)


@pytest.mark.parametrize("name", ["router", "human"])
def test_a_reserved_name_is_refused(name: str) -> None:
    with pytest.raises(TeamError, match="human, router are reserved names"):
        agent(name)


def test_all_mistakes_of_an_agent_are_told_at_once() -> None:
    with pytest.raises(TeamError) as caught:
        Agent("Cards", " ", examples="I lost it", concurrency=0, max_attempts=0, timeout_s=0)  # type: ignore[arg-type]
    assert len(caught.value.problems) == 6
    for told in (
        "has to match",
        "description",
        "lists of strings",
        "concurrency is 0",
        "max_attempts is 0",
        "timeout_s is 0",
    ):
        assert told in str(caught.value)


@pytest.mark.parametrize("field", ["examples", "skills", "handoffs"])
@pytest.mark.parametrize("value", ["disputes", [agent()], [1]])
def test_what_lists_names_or_texts_takes_a_list_of_strings(field: str, value: object) -> None:
    with pytest.raises(TeamError, match="lists of strings"):
        agent(**{field: value})


def test_a_description_is_a_text() -> None:
    with pytest.raises(TeamError, match="a description is needed"):
        Agent("cards", None)  # type: ignore[arg-type]


def test_an_agent_has_one_default_turn_and_it_stays_callable() -> None:
    cards = agent()
    assert cards.turn(answer) is answer
    with pytest.raises(TeamError, match="'cards' has two default turns"):
        cards.turn(answer)


@pytest.mark.parametrize("name", ["", "  ", "freeze"])
def test_a_skill_needs_a_name_of_its_own(name: str) -> None:
    cards = agent()
    cards.skill("freeze")(answer)
    with pytest.raises(TeamError, match="empty or named twice"):
        cards.skill(name)


def test_a_skill_is_taken_by_its_handler_and_all_else_by_the_default() -> None:
    cards = agent(skills=["statement"])

    @cards.skill("freeze", examples=["freeze my card"])
    async def freeze(turn: Turn) -> Answer:
        return Answer("frozen")

    cards.turn(answer)
    assert cards.handler("freeze") is freeze
    assert cards.handler("statement") is cards.handler(None) is cards.handler("unheard of") is answer


def test_an_agent_without_a_handler_says_what_it_has() -> None:
    cards = agent()
    cards.skill("freeze")(answer)
    for skill, told in ((None, "a handoff"), ("refund", "skill 'refund'")):
        with pytest.raises(TeamError, match=f"no handler for {told}.*skills: 'freeze'"):
            cards.handler(skill)


def test_a_card_presents_skills_examples_and_sorted_targets() -> None:
    cards = agent(skills=["statement"], examples=["my card"], handoffs=["topups"], entry=False, version="7")
    cards.skill("freeze", examples=("freeze it",))(answer)
    card = cards.card(["disputes", "topups"])
    assert [(skill.name, skill.examples) for skill in card.skills] == [("statement", ()), ("freeze", ("freeze it",))]
    assert (card.targets, card.examples) == (("disputes", "topups"), ("my card",))
    assert (card.name, card.entry, card.version) == ("cards", False, "7")


def pairs(edge: Edge) -> set[tuple[str, str]]:
    return {(getattr(a, "name", a), getattr(b, "name", b)) for a, b in edge.pairs()}


def test_an_edge_is_made_of_agents_names_and_lists() -> None:
    a, b = agent("a"), agent("b")
    assert pairs(a >> b) == {("a", "b")}
    assert pairs(a >> [b, "c"]) == {("a", "b"), ("a", "c")}
    assert pairs(a >> (b, "c")) == {("a", "b"), ("a", "c")}
    assert pairs("x" >> a) == {("x", "a")}
    assert pairs(["x", b] >> a) == {("x", "a"), ("b", "a")}


def test_a_group_lets_any_member_hand_off_to_any_other() -> None:
    a, b = agent("a"), agent("b")
    assert pairs(Group(a, b, "c")) == {(x, y) for x in "abc" for y in "abc" if x != y}


def test_edges_change_no_agent() -> None:
    a, b = agent("a"), agent("b")
    assert a >> b is not a >> b
    assert a.card().targets == ()


def test_a_chain_of_edges_is_refused_with_what_to_write_instead() -> None:
    a, b, c = agent("a"), agent("b"), agent("c")
    with pytest.raises(TeamError, match=r"write \[a >> b, b >> c\], or a >> \[b, c\]") as caught:
        _ = a >> b >> c
    assert "a >> b >> <c>" in str(caught.value)
    with pytest.raises(TeamError, match="edges do not chain"):
        _ = a >> (b >> c)


@pytest.mark.parametrize("end", [7, None, [1], {"b"}, answer])
def test_an_edge_to_what_is_no_agent_is_refused(end: object) -> None:
    with pytest.raises(TeamError, match="is no agent; `>>` takes an Agent, a name, or a list of them"):
        _ = agent() >> end


def test_rules_are_checked_when_they_are_declared_and_all_mistakes_told() -> None:
    with pytest.raises(TeamError) as caught:
        agent(rules=[Rule(pattern="fine"), Rule(pattern="("), Rule()], timeout_s=0)
    told = caught.value.problems
    assert len(told) == 3
    assert "timeout_s" in told[0]
    assert told[1:] == [
        "agent 'cards': rule 2: its pattern '(' cannot be used: missing ): (",
        "agent 'cards': rule 3: it has no condition and would hold for every request; give it a pattern or facts",
    ]


@pytest.mark.parametrize("value", [Rule(pattern="x"), ["x"], {"pattern": "x"}])
def test_rules_are_a_list_of_rules(value: Any) -> None:
    with pytest.raises(TeamError, match=r"rules is .*a list of Rule"):
        agent(rules=value)


def test_rules_of_an_agent_that_is_never_chosen_are_refused() -> None:
    with pytest.raises(TeamError, match="has rules, but entry=False"):
        agent(rules=[Rule(pattern="x")], entry=False)


def test_a_rule_names_a_skill_of_its_agent_which_may_be_declared_later() -> None:
    cards = agent(rules=[Rule(pattern="x", skill="freeze"), Rule(pattern="y", skill="thaw")])
    with pytest.raises(TeamError, match=r"rule 1 names the skill 'freeze'; its skills: none\n.*rule 2"):
        cards.card()
    cards.skill("freeze")(answer)
    cards.skill("thaw")(answer)
    assert cards.card().rules == cards.rules
