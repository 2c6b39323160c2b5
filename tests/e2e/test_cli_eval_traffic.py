"""`label`, `eval export` and `eval replay` on a journal with a few runs, and what `agents` and `show` say."""

import asyncio
import json
from pathlib import Path

import pytest

from baton.journal.sqlite.journal import SqliteJournal
from tests.support.cli import Cli

OTHER_TEAM = """
from baton import Agent, Team
from baton.testing import ScriptedClassifier

names = ("front", "back")
agents = [Agent(name, name) for name in names]
for agent in agents:
    agent.turn(lambda turn: None)
team = Team("test", agents=agents, classifier=ScriptedClassifier({"hello": "back"}, default="front"))
"""


def send(cli: Cli, text: str, *options: str) -> str:
    return str(cli("run", "cli_team.py", "--send", text, "--json", *options).object["run_id"])


@pytest.fixture
def told(cli: Cli) -> dict[str, str]:
    """Runs by their texts: two placed, one left to the fallback, one addressed."""
    runs = {text: send(cli, text) for text in ("hello", "hello again", "nobody")}
    return {**runs, "addressed": send(cli, "addressed", "--to", "back")}


def test_a_label_is_said_shown_and_said_again(cli: Cli, told: dict[str, str]) -> None:
    run = told["hello"]
    assert "\nlabel" not in cli("show", run).out
    assert cli("show", run, "--json").object["label"] is None
    done = cli("label", run[:16], "back", "--by", "ann")
    assert (done.code, done.out) == (0, f"run {run} was for back, says ann\n")
    assert "back, said ann at 2" in cli("show", run).out
    written = cli("label", run, "nobody", "--by", "bob", "--json").object
    assert (written["run_id"], written["agent"], written["labelled_by"]) == (run, "nobody", "bob")
    assert cli("show", run, "--json").object["label"] == written


@pytest.mark.parametrize(
    ("by", "problem"),
    [(" ", "--by is empty"), ("x" * 201, "--by has 201 bytes; at most 200"), ("x\udcff", "--by has a lone surrogate")],
)
def test_who_says_it_has_a_name(cli: Cli, told: dict[str, str], by: str, problem: str) -> None:
    done = cli("label", told["hello"], "back", "--by", by)
    assert (done.code, done.out) == (2, "")
    assert problem in done.err
    assert "\x1b" not in cli("label", told["hello"], "back", "--by", "\x1b[31mann").out


def test_a_label_for_a_stranger_or_of_no_run_is_exit_code_2(cli: Cli, told: dict[str, str]) -> None:
    done = cli("label", told["hello"], "stranger")
    assert done.code == 2
    assert "no agent 'stranger' is registered; a request was for back, front, human or nobody" in done.err
    done = cli("label", "0123456789", "front")
    assert done.code == 2
    assert "no run '0123456789'" in done.err


def test_export_writes_what_was_surely_chosen_and_what_is_labelled(cli: Cli, told: dict[str, str]) -> None:
    done = cli("eval", "export")
    assert [(row["text"], row["agent"], row["labelled"]) for row in done.objects] == [
        ("hello", "front", False),
        ("hello again", "front", False),
    ]
    assert done.objects[0] == {
        "text": "hello",
        "agent": "front",
        "intent": "front",
        "run_id": told["hello"],
        "labelled": False,
    }
    assert done.err == "2 rows written, 0 of them labelled; 2 requests left out\n"
    cli("label", told["hello"], "back")
    cli("label", told["nobody"], "human")
    done = cli("eval", "export", "--labelled", "--output", "out.jsonl")
    assert (done.code, done.out) == (0, "")
    assert done.err == "2 rows written to 'out.jsonl', 2 of them labelled\n"
    rows = [json.loads(line) for line in (cli.directory / "out.jsonl").read_text("utf-8").splitlines()]
    assert [(row["text"], row["agent"], row["intent"]) for row in rows] == [
        ("hello", "back", "back"),
        ("nobody", "oos", "oos"),
    ]


def test_export_to_where_no_file_can_be_is_exit_code_2(cli: Cli, told: dict[str, str]) -> None:
    done = cli("eval", "export", "--output", str(Path("no") / "such" / "folder.jsonl"))
    assert done.code == 2
    assert "cannot be written: No such file or directory" in done.err


def test_replay_shows_what_today_would_change_and_how_right_it_was(cli: Cli, told: dict[str, str]) -> None:
    (cli.directory / "other_team.py").write_text(OTHER_TEAM, encoding="utf-8")
    cli("label", told["hello"], "back")
    cli("label", told["hello again"], "front")
    shown = cli("eval", "replay", "other_team.py", "--since", "1h", "--json").object
    assert (shown["since_s"], shown["cards"]) == (3600.0, "other_team.py")
    assert (shown["requests"], shown["redecided"], shown["changed"]) == (4, 3, 3)
    assert shown["labelled"] == {"n": 2, "right_then": 1, "right_now": 1}
    assert [(change["from"], change["to"], change["n"]) for change in shown["changes"]] == [
        ("front", "back", 2),
        ("nobody", "front", 1),
    ]
    page = cli("eval", "replay", "other_team.py").out
    for line in (
        "requests      4 in 7 d, 1 not the classifier's, not decided again",
        "would change  3 of 3 (100.0%)",
        "right then    1 of 2 (50.0%) that a person has labelled",
        "right now     1 of 2 (50.0%)",
    ):
        assert line in page
    assert f"front   back          2  {told['hello']}  hello" in page


def test_replay_with_the_same_classifier_changes_nothing(cli: Cli, told: dict[str, str]) -> None:
    done = cli("eval", "replay", "cli_team.py", "--since", "1h")
    assert done.code == 0
    assert "would change  0 of 3 (0.0%)" in done.out
    assert "Changes" not in done.out


def test_since_is_heeded_and_what_is_no_duration_is_exit_code_2(cli: Cli, told: dict[str, str]) -> None:
    assert cli("eval", "export", "--since", "0").out == ""
    assert cli("eval", "replay", "cli_team.py", "--since", "0", "--json").object["requests"] == 0
    assert cli("eval", "replay", "--since", "soon").code == 2


def test_agents_tells_live_replicas_and_when_one_was_last_seen(cli: Cli, told: dict[str, str]) -> None:
    embedded = cli("agents")
    assert [line.split()[4:6] for line in embedded.out.splitlines()[1:]] == [["-", "-"], ["-", "-"]]

    async def beat() -> None:
        journal = SqliteJournal(cli.directory / ".baton" / "journal.db")
        await journal.start(serves=False)
        await journal.beat("host:1", ["front"])
        await journal.close()

    asyncio.run(beat())
    back, front = cli("agents", "--json").objects
    assert (back["replicas"], back["seen_at"], front["replicas"]) == (0, None, 1)
    assert front["seen_at"] > 0
    lines = cli("agents").out.splitlines()
    assert lines[0].split()[3:7] == ["skills", "replicas", "seen", "pending"]
    assert lines[1].split()[4:6] == ["0", "-"]
    assert lines[2].split()[4:5] == ["1"]
    assert " ago " in lines[2]
