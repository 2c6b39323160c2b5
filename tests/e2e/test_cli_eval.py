"""`baton eval routing` and `baton eval handoff`: what they print, and what they say of bad input."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.support.cli import Cli

POOL = [
    ("my card was stolen", "lost_card", "cards"),
    ("i lost my card", "lost_card", "cards"),
    ("someone took my card", "lost_card", "cards"),
    ("freeze my card at once", "lost_card", "cards"),
    ("the exchange rate is wrong", "rate", "money"),
    ("what is the exchange rate", "rate", "money"),
    ("which rate do you give for euros", "rate", "money"),
    ("dollar rate please", "rate", "money"),
]
FOREIGN = ["how tall is a giraffe", "zebras sleep standing"]
FIRST = ["n", "accuracy", "macro_f1", "coverage_95", "coverage_98", "oos_recall", "oos_precision"]


def write(directory: Path, name: str, rows: list[Any]) -> str:
    lines = [row if isinstance(row, str) else json.dumps(row) for row in rows]
    (directory / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return name


def labelled(*, with_agents: bool, foreign: list[str]) -> list[dict[str, str]]:
    rows = [
        {"text": text, "intent": intent, **({"agent": agent} if with_agents else {})} for text, intent, agent in POOL
    ]
    return [*rows, *({"text": text, "intent": "oos", "agent": "oos"} for text in foreign)]


@pytest.fixture
def rows(cli: Cli) -> str:
    """Requests of two intents, and two that nobody handles."""
    return write(cli.directory, "rows.jsonl", labelled(with_agents=False, foreign=FOREIGN))


@pytest.fixture
def labels(cli: Cli) -> str:
    return write(cli.directory, "labels.jsonl", labelled(with_agents=False, foreign=[]))


def test_figures_are_one_object_with_the_promised_ones_first(cli: Cli, rows: str, labels: str) -> None:
    done = cli("eval", "routing", rows, "--labels", labels, "--lexical", "--json")
    assert done.code == 0, done.err
    assert list(done.object)[:7] == FIRST
    assert (done.object["n"], done.object["n_oos"], done.object["agents"]) == (10, 2, 2)
    assert (done.object["accuracy"], done.object["macro_f1"], done.object["oos_recall"]) == (1.0, 1.0, 1.0)
    assert done.object["method"] == "lexical"


def test_text_tells_figures_reliability_and_the_matrix(cli: Cli, rows: str, labels: str) -> None:
    out = cli("eval", "routing", rows, "--labels", labels, "--lexical").out
    assert "10 rows of 'rows.jsonl', 2 of them out of scope" in out
    assert "2 agents of 'labels.jsonl'" in out
    for heading in ("Figures", "Reliability", "Most confused", "Likeliest agent, by the right one"):
        assert heading in out
    assert ["oos_recall", "100.0", "out"] in [line.split()[:3] for line in out.splitlines()]


def test_agents_of_labels_get_their_intents_as_skills(cli: Cli) -> None:
    labels = write(cli.directory, "labels.jsonl", labelled(with_agents=True, foreign=FOREIGN))
    found = cli("eval", "routing", labels, "--labels", labels, "--lexical", "--json").object
    assert found["accuracy"] == 1.0
    assert "money" in cli("eval", "routing", labels, "--labels", labels, "--lexical").out
    by_intent = cli("eval", "routing", labels, "--labels", labels, "--by", "intent", "--lexical").out
    assert "rate" in by_intent
    assert "money" not in by_intent


def test_shots_draw_the_same_rows_for_a_seed(cli: Cli, rows: str, labels: str) -> None:
    def measured(seed: int) -> dict[str, Any]:
        given = ("--labels", labels, "--shots", "1", "--seed", str(seed), "--lexical", "--json")
        return cli("eval", "routing", rows, *given).object

    assert measured(1) == measured(1)
    assert any(measured(1)["ece"] != measured(seed)["ece"] for seed in range(2, 6))


def test_more_shots_than_there_are_rows_take_all_and_say_so(cli: Cli, rows: str, labels: str) -> None:
    done = cli("eval", "routing", rows, "--labels", labels, "--shots", "50", "--lexical", "--json")
    assert done.code == 0
    assert "fewer than 50 rows, so all there are: 2 intents (lost_card, rate)" in done.err
    assert done.object["accuracy"] == 1.0


def test_a_threshold_may_be_tuned_on_other_rows(cli: Cli, rows: str, labels: str) -> None:
    done = cli("eval", "routing", rows, "--labels", labels, "--threshold-from", rows, "--lexical", "--json")
    tuned = done.object["tuned"]
    assert list(tuned) == ["threshold", "accuracy", "oos_recall", "oos_precision"]
    assert (tuned["accuracy"], tuned["oos_recall"], tuned["oos_precision"]) == (1.0, 1.0, 1.0)
    out = cli("eval", "routing", rows, "--labels", labels, "--threshold-from", rows, "--lexical").out
    assert "With the best threshold on the other rows" in out


def test_cards_of_a_file_and_rows_that_name_skills(cli: Cli, rows: str) -> None:
    cards = [
        {"name": "cards", "description": "Cards", "skills": [{"name": "lost card", "examples": [POOL[0][0]]}]},
        {"agent": "money", "description": "Rates", "skills": ["rate"], "examples": [POOL[4][0]]},
    ]
    path = write(cli.directory, "cards.jsonl", cards)
    found = cli("eval", "routing", rows, "--cards", path, "--lexical", "--json").object
    assert found["n"] == 10
    more = cli("eval", "routing", rows, "--cards", path, "--train", rows, "--lexical", "--json").object
    assert more["accuracy"] == 1.0
    assert more["ece"] < found["ece"]  # what it has learnt by heart it is surer of


def test_agents_that_the_router_does_not_choose_are_not_chosen(cli: Cli, rows: str) -> None:
    cards = [
        {"name": "cards", "skills": [{"name": "lost card", "examples": [POOL[0][0]]}]},
        {"name": "money", "skills": [{"name": "rate", "examples": [POOL[4][0]]}]},
        {"name": "back_office", "entry": False, "examples": [text for text, *_ in POOL]},
    ]
    path = write(cli.directory, "cards.jsonl", cards)
    assert cli("eval", "routing", rows, "--cards", path, "--lexical", "--json").object["agents"] == 2
    turns = write(cli.directory, "dialogues.jsonl", [DIALOGUE])
    assert cli("eval", "handoff", turns, "--cards", path, "--lexical", "--json").object["agents"] == 2
    done = cli("eval", "routing", rows, "--cards", write(cli.directory, "c", cards[2:]), "--lexical")
    assert (done.code, "is none of the agents" in done.err) == (2, True)


def test_the_desk_on_rows_whose_departments_are_given(cli: Cli, rows: str) -> None:
    agents = {"intents": {"lost_card": "cards", "rate": "exchange"}, "agents": {"cards": "All about cards"}}
    path = write(cli.directory, "agents.json", [agents])
    done = cli("eval", "routing", rows, "--team", "services.team:desk", "--agents", path, "--json")
    assert done.code == 0, done.err
    assert done.object["agents"] == 7
    assert done.object["accuracy"] == 1.0


def test_a_picture_is_written(cli: Cli, rows: str, labels: str) -> None:
    done = cli("eval", "routing", rows, "--labels", labels, "--svg", "out.svg", "--lexical")
    assert "written to out.svg" in done.err
    ET.parse(cli.directory / "out.svg")
    done = cli("eval", "routing", rows, "--labels", labels, "--svg", "no/out.svg", "--lexical")
    assert (done.code, "cannot be written" in done.err) == (2, True)


def test_rows_out_of_scope_only_are_judged(cli: Cli, labels: str) -> None:
    only = write(cli.directory, "oos.jsonl", labelled(with_agents=False, foreign=FOREIGN)[-2:])
    found = cli("eval", "routing", only, "--labels", labels, "--lexical", "--json").object
    assert (found["accuracy"], found["macro_f1"], found["oos_recall"]) == (None, None, 1.0)
    assert cli("eval", "routing", only, "--labels", labels, "--lexical").code == 0
    done = cli("eval", "routing", only, "--labels", only)
    assert (done.code, "has only rows out of scope" in done.err) == (2, True)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["missing.jsonl", "--labels", "labels.jsonl"], "'missing.jsonl' cannot be read"),
        (["rows.jsonl", "--labels", "bad.jsonl"], "'bad.jsonl' line 2: no JSON"),
        (["rows.jsonl", "--labels", "empty.jsonl"], "'empty.jsonl' has no line"),
        (["rows.jsonl", "--labels", "one.jsonl"], "'rows.jsonl' line 5: 'rate' is none of the agents lost_card"),
        (["rows.jsonl", "--labels", "labels.jsonl", "--team", "services.team:desk"], "allowed is one of"),
        (["rows.jsonl", "--labels", "labels.jsonl", "--by", "skill"], "allowed is agent or intent"),
        (["rows.jsonl", "--team", "services.team:desk", "--shots", "3"], "--shots draws from"),
    ],
)
def test_bad_input_is_named(cli: Cli, rows: str, labels: str, options: list[str], told: str) -> None:
    lines = labelled(with_agents=False, foreign=[])
    write(cli.directory, "bad.jsonl", [lines[0], "{"])
    write(cli.directory, "empty.jsonl", [])
    write(cli.directory, "one.jsonl", lines[:4])
    done = cli("eval", "routing", *options, "--lexical")
    assert (done.code, done.out) == (2, "")
    assert told in done.err


CARDS = [
    {"agent": "cards", "description": "Cards", "skills": [], "examples": [text for text, *_ in POOL[:4]]},
    {"agent": "money", "description": "Rates", "skills": [], "examples": [text for text, *_ in POOL[4:]]},
]
DIALOGUE = {
    "id": "d1",
    "turns": [
        {"user": "hello", "system": "hi", "gold": "none"},
        {"user": "i lost my card", "system": "when?", "gold": "start", "agent": "cards"},
        {"user": "yesterday evening", "system": "done", "gold": "stay", "agent": "cards"},
        {"user": "what is the exchange rate", "system": "2", "gold": "switch", "agent": "money"},
        {"user": "and my card was stolen", "system": "ok", "gold": "mixed", "agent": "money", "also": ["cards"]},
        {"user": "freeze my card", "system": "ok", "gold": "late", "agent": "cards"},
    ],
}


@pytest.fixture
def dialogues(cli: Cli) -> tuple[str, ...]:
    cards = write(cli.directory, "cards.jsonl", CARDS)
    return (write(cli.directory, "dialogues.jsonl", [DIALOGUE]), "--cards", cards, "--lexical")


def test_dialogues_give_the_figures_of_recognition(cli: Cli, dialogues: tuple[str, ...]) -> None:
    found = cli("eval", "handoff", *dialogues, "--json").object
    assert (found["n"], found["n_stay"], found["n_switch"], found["mixed"]["n"]) == (2, 1, 1, 1)
    perfect = ("recall", "precision", "target", "correct", "f1", "turnacc")
    assert [found[name] for name in perfect] == [1.0] * 6
    assert (found["false"], found["start"]) == (0.0, {"n": 1, "accuracy": 1.0})


def test_dialogues_are_told_in_words_and_drawn(cli: Cli, dialogues: tuple[str, ...]) -> None:
    done = cli("eval", "handoff", *dialogues, "--shots", "2", "--svg", "out.svg")
    assert "1 stay and 1 switch turns of 'dialogues.jsonl'; 2 agents, at most 2 examples each, seed 1" in done.out
    assert "handoffs per 100 stay turns" in done.out
    ET.parse(cli.directory / "out.svg")


def test_a_dialogue_with_an_agent_that_has_no_card_is_named(cli: Cli, dialogues: tuple[str, ...]) -> None:
    write(cli.directory, "cards.jsonl", CARDS[:1])
    done = cli("eval", "handoff", *dialogues)
    assert (done.code, "dialogue 'd1'" in done.err, "no card of 'money'" in done.err) == (2, True, True)
