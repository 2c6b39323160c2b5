"""`baton run`: targets, one serving process, signals, and one request served and shown."""

import signal

import pytest

from tests.support.cli import Cli, read_until, stop


def test_run_says_once_that_it_is_ready_and_sigterm_stops_it_cleanly(cli: Cli) -> None:
    process = cli.serve("cli_team.py:team")
    ended = stop(process, signal.SIGTERM)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "stopping: running hops get up to 25 s; a second signal leaves at once\n"


def test_a_second_serving_process_names_the_first(cli: Cli) -> None:
    process = cli.serve("cli_team")
    refused = cli.run("run", "cli_team")
    stop(process, signal.SIGTERM)
    assert refused.code == 2
    assert f"process {process.pid} already serves the journal" in refused.err


def test_a_second_signal_leaves_at_once_and_the_next_start_goes_on(cli: Cli) -> None:
    process = cli.serve("cli_team.py:team")
    sent = cli("send", "hang on", "--no-wait", "--json").object
    watching = cli.process("watch", sent["run_id"])
    read_until(watching, "→ front")
    process.send_signal(signal.SIGTERM)
    assert process.stderr is not None
    assert process.stderr.readline().startswith("stopping")
    assert stop(process, signal.SIGTERM).code == 128 + signal.SIGTERM
    stop(watching, signal.SIGINT)

    process = cli.serve("cli_team.py:team", BATON_GRACE_S="0")
    assert cli("runs", "--json").object["status"] == "running"
    stop(process, signal.SIGTERM)


def test_send_serves_one_request_and_shows_its_way(cli: Cli) -> None:
    done = cli("run", "cli_team.py", "--send", "handoff this", "--facts", "draft=x", "--facts", '{"kept": 2}')
    assert (done.code, done.err) == (0, "")
    assert "done with 0 messages and ['kept']" in done.out
    for line in ("Trail", "hands off → back: it is yours", "Timeline", "+0.000 s  hop 0   accepted"):
        assert line in done.out


def test_send_with_json_is_one_object(cli: Cli) -> None:
    shown = cli("run", "cli_team:team", "--send", "hello", "--json").object
    assert (shown["status"], shown["trail"], shown["text"]) == ("completed", ["router", "front"], "5 characters")
    assert [event["type"] for event in shown["events"]][:2] == ["accepted", "routed"]


def test_a_failed_run_is_exit_code_1(cli: Cli) -> None:
    done = cli("run", "cli_team", "--send", "fail please")
    assert done.code == 1
    assert "no luck today" in done.out


def test_a_run_that_does_not_end_is_exit_code_3(cli: Cli) -> None:
    done = cli("run", "cli_team", "--send", "hang on", "--timeout", "200ms", BATON_GRACE_S="0")
    assert done.code == 3
    assert "did not end within 0.2 s" in done.err


def test_a_bare_module_means_its_only_team(cli: Cli) -> None:
    assert cli("run", "cli_team", "--send", "hello").code == 0


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nowhere", "no module 'nowhere'"),
        ("nowhere.py", "no file 'nowhere.py'"),
        ("cli_team:absent", "cli_team has no 'absent'; it has team, front, back"),
        ("cli_team.py:take", "is function; allowed are a Team and an Agent"),
        ("cli_team.py:front", "front is a part of a team"),
        ("router", "router is a part of a team"),
        (":team", "names no module"),
        ("two.py", "two.py has 2 teams (one, two); say which one to take, as two.py:one"),
        ("none.py", "none.py has no team"),
        ("broken.py", "broken.py, line 1: "),
        ("raises.py", "raises.py, line 2: ZeroDivisionError"),
        ("imports.py", "imports.py, line 1: ModuleNotFoundError: No module named 'nothing_like_it'"),
        ("chain.py", "chain.py, line 3: a >> b >> <c>: `a >> b` says that a may hand off to b"),
    ],
)
def test_a_target_that_cannot_be_served_is_exit_code_2(cli: Cli, target: str, told: str) -> None:
    files = {
        "two.py": "from cli_team import front, Team\none, two = (Team(name, agents=[front]) for name in 'ab')\n",
        "none.py": "",
        "broken.py": "def",
        "raises.py": "\n1 / 0\n",
        "imports.py": "import nothing_like_it\n",
        "chain.py": "from baton import Agent\na, b, c = (Agent(name, 'x') for name in 'abc')\na >> b >> c\n",
    }
    for name, text in files.items():
        (cli.directory / name).write_text(text)
    done = cli("run", target)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert told in done.err
    assert "Traceback" not in done.err


def test_all_settings_that_are_wrong_are_told_at_once(cli: Cli) -> None:
    done = cli("run", "cli_team", BATON_LEASE_S="0", BATON_LEASES="1")
    assert done.code == 2
    assert "BATON_LEASES is no setting" in done.err
    assert "BATON_LEASE_S is '0'" in done.err


def test_a_journal_of_another_team_is_refused(cli: Cli) -> None:
    cli("run", "cli_team", "--send", "hello")
    team = (cli.directory / "cli_team.py").read_text().replace('"test"', '"other"')
    (cli.directory / "other.py").write_text(team)
    done = cli("run", "other")
    assert done.code == 2
    assert "belongs to team 'test'" in done.err
