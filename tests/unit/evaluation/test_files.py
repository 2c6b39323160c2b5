"""Files that evaluations read: formats, and what is told of those that are something else."""

import json
from pathlib import Path
from typing import Any

import pytest

from baton.card import Card, SkillCard
from baton.errors import ConfigError
from baton.evaluation.card_files import read_cards
from baton.evaluation.dialogues import DialogueTurn, check_agents, read_dialogues
from baton.evaluation.rows import Departments, LabelledRow, read_departments, read_rows


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def written(path: Path, *lines: Any) -> str:
    shown = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(shown) + "\n", encoding="utf-8")
    return str(path)


def test_rows_are_read_with_their_lines(path: Path) -> None:
    path.write_bytes(b'\xef\xbb\xbf{"text":"x","intent":"i"}\n\n{"text":"y","intent":"oos","agent":null}\r\n')
    first, second = read_rows(str(path))
    assert first == LabelledRow(1, "x", "i", None)
    assert (second.number, second.is_oos, first.is_oos) == (3, True, False)


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(ConfigError, match=r"file' cannot be read: No such file"):
        read_rows(str(path))


@pytest.mark.parametrize("text", ["", "\n \n"])
def test_an_empty_file_is_told_with_what_is_allowed(path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r'file\' has no line; allowed is {"text": …, "intent": …'):
        read_rows(written(path, text))


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("no json", "no JSON, expected"),
        ("[1]", "a JSON list"),
        ({"intent": "i"}, "no 'text'"),
        ({"text": "  ", "intent": "i"}, "'text' is '  '"),
        ({"text": "x"}, "neither 'intent' nor 'agent'"),
        ({"text": "x", "intent": 7}, "'intent' is 7"),
    ],
)
def test_a_bad_row_is_named_with_its_line_and_what_is_allowed(path: Path, line: Any, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_rows(written(path, {"text": "x", "intent": "i"}, line))
    (problem,) = raised.value.problems
    assert f"line 2: {told}" in problem
    assert 'allowed is {"text": …' in problem


def test_bytes_that_are_no_utf_8_are_told(path: Path) -> None:
    path.write_bytes(b'{"text":"\xff"}')
    with pytest.raises(ConfigError, match=r"line 1: no UTF-8, byte 9"):
        read_rows(str(path))


def test_of_many_bad_rows_some_are_told(path: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        read_rows(written(path, *["{"] * 25))
    assert len(raised.value.problems) == 11
    assert raised.value.problems[-1] == "and 15 more"


def test_departments_are_flat_or_described(path: Path) -> None:
    assert read_departments(written(path, {"pin": "cards"})) == Departments({"pin": "cards"})
    nested = {"agents": {"cards": "All cards"}, "intents": {"pin": "cards"}}
    assert read_departments(written(path, nested)) == Departments({"pin": "cards"}, {"cards": "All cards"})


@pytest.mark.parametrize("line", ["{", [], {}, {"pin": 1}, {"intents": {"pin": ["cards"]}}])
def test_other_departments_are_refused(path: Path, line: Any) -> None:
    with pytest.raises(ConfigError, match=r"is no JSON|allowed is {\"INTENT\": \"AGENT\""):
        read_departments(written(path, line))


def test_cards_are_batons_own_or_those_of_data_sets(path: Path) -> None:
    own = Card(name="a", description="d", skills=(SkillCard(name="s", examples=("x",)),), entry=False)
    other = {"agent": "b", "description": "e", "skills": ["pay", "pay", "x" * 300], "examples": ["y"], "seen_in": []}
    first, second = read_cards(written(path, own.model_dump_json(), other))
    assert first == own
    assert second == Card(
        name="b", description="e", skills=(SkillCard(name="pay"), SkillCard(name="x" * 200)), examples=("y",)
    )


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"description": "d"}, "no 'agent'"),
        ({"name": "a", "skills": "s"}, "'skills' is no list"),
        ({"name": "a", "skills": [""]}, "a skill is ''"),
        ({"name": "a", "skills": [{"examples": []}]}, "no 'name'"),
        ({"name": "a", "examples": [1]}, "'examples' is no list of texts"),
        ({"name": "a", "description": 7}, "description: Input should be a valid string"),
    ],
)
def test_a_bad_card_is_named(path: Path, line: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=f"line 1: {told}"):
        read_cards(written(path, line))


def test_two_cards_of_one_name_are_refused(path: Path) -> None:
    with pytest.raises(ConfigError, match="more than one card of a"):
        read_cards(written(path, {"name": "a"}, {"agent": "a"}))


TURNS = [
    {"user": "hi", "system": "hello", "gold": "none"},
    {"user": "a room", "system": "where", "gold": "start", "agent": "hotel"},
    {"user": "here", "system": "done", "gold": "stay", "agent": "hotel"},
    {"user": "a taxi", "system": "when", "gold": "switch", "agent": "taxi", "also": ["train"]},
]


def test_the_active_agent_is_that_of_the_turn_before(path: Path) -> None:
    turns = read_dialogues(written(path, {"id": "d1", "turns": TURNS}))
    assert [turn.active for turn in turns] == [None, None, "hotel", "hotel"]
    assert turns[3] == DialogueTurn("d1", "a taxi", "switch", "hotel", "taxi", ("train",), "done", "here")
    assert turns[3].targets == {"taxi", "train"}
    assert (turns[0].said, turns[0].before) == ("", "")


def test_a_turn_that_names_no_agent_changes_nothing(path: Path) -> None:
    turns = [TURNS[1], {"user": "hm", "gold": "none"}, TURNS[3]]
    assert [turn.active for turn in read_dialogues(written(path, {"turns": turns}))] == [None, "hotel", "hotel"]


def test_the_active_agent_is_no_target() -> None:
    assert DialogueTurn("d", "x", "mixed", "hotel", "hotel", ("taxi",)).targets == {"taxi"}


@pytest.mark.parametrize(
    ("turns", "told"),
    [
        ([], "no 'turns'"),
        (["x"], "turn 1: a JSON str"),
        ([{"user": "x", "gold": "maybe"}], "turn 1: 'gold' is 'maybe'"),
        ([{"user": "x", "gold": "stay", "agent": "a"}], "turn 1: 'stay' before any agent has the conversation"),
        ([TURNS[1], {"gold": "stay"}], "turn 2: 'user' is None"),
    ],
)
def test_a_bad_dialogue_is_named(path: Path, turns: list[Any], told: str) -> None:
    with pytest.raises(ConfigError, match=f"line 1: {told}.*allowed is"):
        read_dialogues(written(path, {"id": "d", "turns": turns}))


def test_agents_without_a_card_are_named_once(path: Path) -> None:
    turns = read_dialogues(written(path, {"id": "d1", "turns": [*TURNS, {**TURNS[3], "user": "hello?"}]}))
    with pytest.raises(ConfigError) as raised:
        check_agents(turns, ["hotel"], "f")
    assert raised.value.problems == [
        "dialogue 'd1' of 'f': no card of 'taxi'; cards are of hotel",
        "dialogue 'd1' of 'f': no card of 'train'; cards are of hotel",
    ]
    check_agents(turns, ["hotel", "taxi", "train"], "f")
