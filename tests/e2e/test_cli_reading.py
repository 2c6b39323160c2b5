"""What reads: `runs`, `show`, `agents`, `route`, `cards`, `journal prune`, `config`, `doctor`, `bench`."""

import sys

import pytest

from baton.routing import minilm
from tests.support.cli import Cli

RUN_FIELDS = {"run_id", "status", "agent", "route", "trail", "text", "request", "question", "error", "batch"}


def send(cli: Cli, text: str, *facts: str) -> str:
    """Serve one request, and return its run."""
    options = [part for fact in facts for part in ("--facts", fact)]
    shown = cli("run", "cli_team.py", "--send", text, "--json", *options).object
    return str(shown["run_id"])


@pytest.fixture
def told(cli: Cli) -> Cli:
    """A journal with a completed, a failed and a waiting run."""
    for text in ("hello", "fail", "ask"):
        send(cli, text)
    return cli


def test_runs_lists_the_newest_last(told: Cli) -> None:
    done = told("runs")
    assert done.code == 0
    head, *rows = done.out.splitlines()
    assert head.split() == ["run", "status", "agent", "accepted", "took", "request"]
    assert [row.split()[1] for row in rows] == ["completed", "failed", "waiting"]
    assert all(len(row.split()[0]) == 32 for row in rows)


def test_runs_as_json_is_one_run_a_line(told: Cli) -> None:
    runs = told("runs", "--json").objects
    assert all(run.keys() >= RUN_FIELDS for run in runs)
    assert [run["text"] for run in runs] == ["5 characters", None, None]
    assert runs[0]["route"] == {
        "agent": "front",
        "skill": None,
        "confidence": 1.0,
        "method": "scripted",
        "how": "classified",
        "model": None,
        "runner_up": None,
        "margin": 1.0,
        "note": None,
    }
    assert runs[2]["question"]["options"] == ["red", "blue"]


@pytest.mark.parametrize(
    ("args", "texts"),
    [
        (["--waiting"], ["ask"]),
        (["--status", "failed"], ["fail"]),
        (["--agent", "front", "--limit", "2"], ["fail", "ask"]),
        (["--agent", "back"], []),
        (["--batch", "none"], []),
    ],
)
def test_runs_are_filtered(told: Cli, args: list[str], texts: list[str]) -> None:
    assert [run["request"] for run in told("runs", "--json", *args).objects] == texts


def test_a_status_that_is_none_is_exit_code_2(told: Cli) -> None:
    done = told("runs", "--status", "done")
    assert done.code == 2
    assert "allowed are queued, running, waiting, completed, failed, cancelled" in done.err


def test_show_has_every_part(cli: Cli) -> None:
    run = send(cli, "handoff this", "draft=x", "other=y")
    page = cli("show", run[:16]).out
    for part in ("Trail", "Hops", "Handoffs", "Messages", "Facts", "Timeline"):
        assert f"\n{part}" in page
    for line in (
        "messages    0 of 1 message, 0 B of 12 B",
        "dropped     1: #0 (turn.history() still gives them)",
        "facts kept  other",
        "facts set   kept",
        "facts lost  draft",
    ):
        assert line in page
    assert "Steps" in cli("show", send(cli, "hello")).out
    assert "Waits" in cli("show", send(cli, "ask")).out


def test_show_as_json_tells_what_crossed(cli: Cli) -> None:
    shown = cli("show", send(cli, "handoff this", "draft=x"), "--json").object
    assert shown.keys() > RUN_FIELDS | {"hops", "messages", "facts", "steps", "waits", "handoffs", "events"}
    to_front, to_back = shown["handoffs"]
    assert (to_front["received"], to_front["dropped"], to_front["facts_kept"]) == ([0], [], ["draft"])
    assert (to_back["received"], to_back["dropped"], to_back["log_length"]) == ([], [0], 1)
    assert (to_back["received_bytes"], to_back["log_bytes"]) == (0, len("handoff this"))
    assert (to_back["facts_kept"], to_back["facts_changed"], to_back["facts_lost"]) == ([], ["kept"], ["draft"])


def test_what_a_request_says_does_not_steer_the_terminal(cli: Cli) -> None:
    run = send(cli, "hello \x1b[31mred")
    for done in (cli("show", run), cli("runs")):
        assert "\x1b" not in done.out
        assert r"\x1b[31mred" in done.out


def test_agents_are_listed(told: Cli) -> None:
    assert [agent["name"] for agent in told("agents", "--json").objects] == ["back", "front"]
    assert "Takes every request" in told("agents").out


def test_reading_where_there_is_no_journal_is_exit_code_2(cli: Cli) -> None:
    for command in (["runs"], ["agents"], ["show", "012345"], ["journal", "prune", "--older-than", "1d"]):
        done = cli(*command)
        assert done.code == 2
        assert "there is no journal" in done.err
    assert not (cli.directory / ".baton").exists()


@pytest.mark.parametrize(
    "content", [b"no journal at all, but long enough to be read", b"SQLite format 3\0" + b"\xff" * 4096]
)
def test_a_file_that_is_no_journal_is_exit_code_2(cli: Cli, content: bytes) -> None:
    file = cli.directory / "x.db"
    file.write_bytes(content)
    done = cli("runs", BATON_JOURNAL_URL=f"sqlite:///{file}")
    assert done.code == 2
    assert "x.db" in done.err
    examined = cli("doctor", "--json", BATON_JOURNAL_URL=f"sqlite:///{file}")
    assert examined.code == 2
    assert {check["name"]: check["state"] for check in examined.object["checks"]}["journal"] == "bad"


def test_prune_counts_and_deletes(told: Cli) -> None:
    assert told("journal", "prune", "--older-than", "30d", "--json").object["runs"] == 0
    assert told("journal", "prune", "--older-than", "0", "--dry-run").out.startswith("2 runs would be deleted")
    assert told("journal", "prune", "--older-than", "0").out.startswith("2 runs deleted")
    assert [run["request"] for run in told("runs", "--json").objects] == ["ask"]


def test_route_explains_a_decision(cli: Cli) -> None:
    done = cli("route", "hello", "--team", "cli_team.py", "--json")
    assert done.code == 0
    assert (done.object["agent"], done.object["method"], done.object["how"]) == ("front", "scripted", "classified")
    assert done.object["scores"] == {"front": 1.0}
    assert "goes to     human" in cli("route", "nobody", "--team", "cli_team.py").out


def test_route_takes_the_cards_of_the_journal_else_of_the_desk(cli: Cli) -> None:
    assert cli("route", "my card was stolen", "--json").object["agent"] == "cards"
    send(cli, "hello")
    routed = cli("route", "my card was stolen", "--json").object
    assert routed["cards"].startswith("the journal")
    assert routed["agent"] in ("front", "human")


def test_route_refuses_an_empty_text(cli: Cli) -> None:
    done = cli("route", " ")
    assert done.code == 2
    assert "text is empty" in done.err


CARDS = """
from baton import Agent, Answer, Team

first = Agent("first", "Tea", examples=["a cup of tea", "green tea", "Black  Tea"])
second = Agent("second", "Coffee")

@second.skill("brew coffee", examples=["black tea", "an espresso"])
@second.turn
@first.turn
async def take(turn):
    return Answer("here")

team = Team("drinks", agents=[first, second])
"""


def test_cards_check_warns(cli: Cli) -> None:
    (cli.directory / "drinks.py").write_text(CARDS)
    done = cli("cards", "check", "drinks.py", "--json")
    assert done.code == 0
    assert done.object["warnings"] == [
        "first has no named skill; name what it does, with examples",
        "second / brew coffee has 2 examples; 3 or more are needed",
        "first and second have the same example 'black tea'",
    ]
    assert done.object["held_out"]["examples"] == 5
    assert done.object["held_out"]["confused"] == ["first", "second"]
    assert "3 warnings" in cli("cards", "check", "drinks.py").out


def test_cards_forget_tells_what_stays_of_the_agent(told: Cli) -> None:
    done = told("cards", "forget", "back")
    assert (done.code, done.out.splitlines()) == (
        0,
        [
            "no request is routed to back any more",
            "  front may still hand off to it: take it out of their `handoffs`",
        ],
    )
    done = told("cards", "forget", "front")
    assert done.code == 0
    assert "1 hop still its own, for when it is served again: see `baton runs --agent front`" in done.out
    again = told("cards", "forget", "front")
    assert again.code == 2
    assert "no agent 'front' is registered; registered: none" in again.err


def test_config_prints_every_setting_with_passwords_masked(cli: Cli) -> None:
    shown = cli("config", "--json", BATON_BROKER_URL="amqp://me:secret@host/").object
    assert shown["BATON_BROKER_URL"] == "amqp://me:***@host/"
    lines = {line.split()[0]: line.split()[1:] for line in cli("config", BATON_LEASE_S="7").out.splitlines()}
    assert lines["BATON_LEASE_S"] == ["set", "7.0"]
    assert lines["BATON_POLL_S"][0] == "default"


def test_doctor_tells_what_it_found(cli: Cli) -> None:
    fresh = cli("doctor", "--json")
    assert (fresh.code, fresh.object["well"]) == (0, True)
    send(cli, "ask")
    checks = {check["name"]: check for check in cli("doctor", "--json").object["checks"]}
    assert checks["journal"]["found"].endswith("integrity_check: ok")
    assert checks["served"] == {"name": "served", "state": "note", "found": "by nobody now"}
    assert checks["open runs"]["found"] == "0 queued, 0 running, 1 waiting"
    assert "integrity_check: ok" in cli("doctor").out


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("BATON_LEASE_S", "soon", "BATON_LEASE_S is 'soon'"),
        ("BATON_BROKER_URL", "amqp://me:secret@127.0.0.1:1/", "not connected to amqp://127.0.0.1:1"),
        ("BATON_JOURNAL_URL", "postgresql://me:secret@127.0.0.1:1/db", "127.0.0.1"),
    ],
)
def test_doctor_finds_what_cannot_work(cli: Cli, name: str, value: str, told: str) -> None:
    done = cli("doctor", **{name: value})
    assert done.code == 2
    assert told in done.out


def test_bench_prints_one_line_of_figures(cli: Cli) -> None:
    figures = cli("bench", "relay", "--runs", "4", "--window", "2", "--json").object
    assert (figures["bench"], figures["hops"], figures["lost"]) == ("relay", 20, 0)
    assert figures["hops_per_s"] > 0


def test_the_command_line_starts_without_numpy(cli: Cli) -> None:
    import subprocess

    script = "import sys, baton.cli.app; print(sorted({'numpy', 'rich', 'services'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=cli.directory)
    assert done.stdout == "[]\n"


def test_help_lists_every_command(cli: Cli) -> None:
    done = cli.run("--help")
    assert done.code == 0
    for name in ("demo", "run", "send", "reply", "cancel", "runs", "show", "watch", "route", "agents", "cards"):
        assert f"\n  {name} " in done.out
    assert cli.run("nonsense").code == 2


def test_doctor_tells_how_requests_are_read(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "reads what requests mean: minilm-l6-v2-int8.3" in cli("doctor").out
    monkeypatch.setattr(minilm, "SHA256", "0" * 64)
    assert "goes by the words of requests alone: " in cli("doctor").out
