"""Teams: agents with their targets bound, and every mistake told at once."""

from typing import Any

import pytest

from baton import Agent, Answer, Group, LLMClassifier, Rule, Team, Turn
from baton.errors import TeamError


def agent(name: str, *, is_ready: bool = True, **changes: Any) -> Agent:
    made = Agent(name, f"All about {name}", **changes)
    if is_ready:

        @made.turn
        async def take(turn: Turn) -> Answer:
            return Answer("done")

    return made


cards, disputes, payments = (agent(name) for name in ("cards", "disputes", "payments"))


def problems(*args: Any, **kwargs: Any) -> list[str]:
    with pytest.raises(TeamError) as caught:
        Team(*args, **kwargs)
    return caught.value.problems


def test_a_team_binds_the_edges_to_the_cards_of_its_agents() -> None:
    team = Team("desk", [cards >> [disputes, "topups"], "topups" >> cards], agents=[payments], fallback=disputes)
    assert {card.name: card.targets for card in team.cards()} == {
        "cards": ("disputes", "topups"),
        "disputes": (),
        "payments": (),
    }
    assert team.fallback == "disputes"


def test_an_agents_own_handoffs_stand_beside_the_edges() -> None:
    alone = agent("alone", handoffs=["elsewhere"])
    assert Team("desk", [alone >> cards]).card("alone").targets == ("cards", "elsewhere")


def test_one_agent_in_two_teams_keeps_their_targets_apart() -> None:
    one, other = Team("one", [cards >> disputes]), Team("other", [cards >> payments])
    assert (one.card("cards").targets, other.card("cards").targets) == (("disputes",), ("payments",))


def test_a_group_and_an_agent_without_edges_make_a_team() -> None:
    team = Team("desk", [Group(cards, disputes)], agents=[payments])
    assert team.card("disputes").targets == ("cards",)
    assert list(team.agents) == ["cards", "disputes", "payments"]


def test_the_fallback_is_a_member_where_it_is_given_as_an_agent() -> None:
    assert "payments" in Team("desk", [cards >> disputes], fallback=payments).agents
    assert Team("desk", agents=[cards], fallback="human").fallback == "human"


def test_two_agents_of_one_name_are_refused() -> None:
    assert problems("desk", [cards >> agent("disputes"), agent("cards") >> disputes]) == [
        "team 'desk' has two agents named 'cards'; names are unique",
        "team 'desk' has two agents named 'disputes'; names are unique",
    ]


def test_all_mistakes_of_a_team_are_told_at_once() -> None:
    told = problems(
        "Desk",
        [agent("lazy", is_ready=False) >> "No Name", "router" >> cards],
        agents=[agent("cards")],
        fallback="router",
    )
    for part in (
        "team 'Desk': a name",
        "named 'cards'",
        "'No Name' is no agent's name",
        "the router cannot be",
        "@lazy.turn",
    ):
        assert sum(part in line for line in told) == 1, part
    assert any("'router' needs no edges of its own" in line for line in told)
    assert len(told) == 6


def test_a_team_without_agents_is_refused() -> None:
    assert problems("desk") == ["team 'desk' has no agents; give it edges or agents=[…]"]
    assert "has no agents" in problems("desk", fallback="human")[0]


@pytest.mark.parametrize(
    ("edges", "agents", "fallback", "told"),
    [
        ([cards], (), None, "<cards> is no edge; edges are made by `a >> b`"),
        ([[cards >> disputes]], (), None, "is no edge"),
        (cards >> disputes, (), None, r"edges is cards >> disputes; it has to be a list"),
        ((), ["cards"], None, "'cards' is no agent; agents are made by Agent"),
        ((), cards, None, "agents is <cards>; it has to be a list"),
        ([cards >> disputes], (), 7, "fallback is 7"),
    ],
)
def test_what_is_of_the_wrong_kind_is_refused_by_name(edges: Any, agents: Any, fallback: Any, told: str) -> None:
    with pytest.raises(TeamError, match=told):
        Team("desk", edges, agents=agents, fallback=fallback)


def test_edges_to_the_reserved_names_are_allowed_and_need_no_declaration() -> None:
    team = Team("desk", [cards >> ["human", "router"]])
    assert "cards" in team.agents
    assert repr(team) == "Team('desk', cards)"


def test_a_rule_with_a_strange_skill_is_told_with_the_other_mistakes_of_the_team() -> None:
    ruled = agent("ruled", rules=[Rule(pattern="x", skill="freeze")])
    assert problems("Desk", agents=[ruled])[1:] == ["agent 'ruled': rule 1 names the skill 'freeze'; its skills: none"]


def test_a_team_has_one_llm_beside_its_classifier_or_none() -> None:
    assert problems("desk", agents=[cards], llm=print) == [f"llm is {print!r}; it has to be an LLMClassifier(ask)"]
    llm = LLMClassifier(lambda _: "cards")
    assert Team("desk", agents=[cards], llm=llm).whole().llm is llm
    assert Team("desk", agents=[cards]).whole().llm is None
