"""`baton dead`: what failed and what nothing could be made of, listed, shown, redriven and discarded."""

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from baton.broker.rabbitmq import names
from baton.journal.messages import Quarantined
from baton.journal.sqlite.journal import SqliteJournal
from tests.support.cli import Cli, stop
from tests.support.rabbitmq import admin, declare

FAILING = 'raise PermanentError("no luck today")'


def using(cli: Cli, use: Callable[[SqliteJournal], Awaitable[Any]]) -> Any:
    """Use the journal beside the commands."""

    async def body() -> Any:
        journal = SqliteJournal(cli.directory / ".baton" / "journal.db")
        await journal.start(serves=False)
        try:
            return await use(journal)
        finally:
            await journal.close()

    return asyncio.run(body())


def fail(cli: Cli, text: str = "fail", **options: str) -> str:
    """Serve one request that fails, and return its run."""
    more = [part for name, value in options.items() for part in (f"--{name}", value)]
    done = cli("run", "cli_team.py", "--send", text, "--json", *more)
    assert done.code == 1, done
    return str(done.object["run_id"])


def keep(cli: Cli, body: bytes, **changes: Any) -> None:
    """Put a message in quarantine."""
    given = {"source": "baton.requests", "reason": "was not taken", "headers": {"reply_to": "q", "n": 1}, **changes}
    using(cli, lambda journal: journal.quarantine(Quarantined(body=body, **given)))


def cure(cli: Cli) -> None:
    """Let the team take from now on what it failed at."""
    team = cli.directory / "cli_team.py"
    team.write_text(team.read_text().replace(FAILING, 'return Answer("luck today")'))


@pytest.fixture
def dead(cli: Cli) -> Cli:
    """A journal with a failed run and two messages: one that is a request, and one that is none."""
    fail(cli)
    keep(cli, b'{"text": "hello again"}')
    keep(cli, b"\xff not json")
    return cli


@pytest.fixture
def cured(dead: Cli) -> Iterator[Cli]:
    """The same, served by a team that can take what failed."""
    cure(dead)
    process = dead.serve("cli_team.py:team")
    yield dead
    assert stop(process, signal.SIGTERM).code == 0


def ids(cli: Cli, *options: str) -> list[str]:
    return [view["id"] for view in cli("dead", "list", "--json", *options).objects]


def test_the_dead_are_listed_with_the_newest_last(dead: Cli) -> None:
    done = dead("dead", "list")
    assert done.code == 0
    head, run, request, other = done.out.splitlines()
    assert head.split() == ["id", "reason", "at", "died", "because"]
    assert run.split()[1:3] == ["permanent", "front"]
    assert run.endswith("no luck today")
    assert request.split()[:3] == ["q1", "quarantine", "baton.requests"]
    assert other.endswith("was not taken")


def test_the_list_can_be_narrowed(dead: Cli) -> None:
    run_id, *messages = ids(dead)
    assert messages == ["q1", "q2"]
    assert ids(dead, "--reason", "permanent") == [run_id]
    assert ids(dead, "--reason", "quarantine") == messages
    assert ids(dead, "--limit", "1") == ["q2"]
    assert ids(dead, "--reason", "max_attempts") == []
    assert dead("dead", "list", "--reason", "max_attempts").err == "none\n"


def test_a_listed_run_as_json_has_what_a_program_needs(dead: Cli) -> None:
    run, *_ = dead("dead", "list", "--json").objects
    assert run["kind"] == "run"
    assert (run["reason"], run["agent"], run["text"], run["tenant"]) == ("permanent", "front", "fail", "default")


def test_a_run_is_shown_as_any_other(dead: Cli) -> None:
    run_id = ids(dead)[0]
    assert dead("dead", "show", run_id[:12]).out == dead("show", run_id).out
    assert dead("dead", "show", run_id, "--json").object["run_id"] == run_id


def test_a_message_is_shown_as_it_came(dead: Cli) -> None:
    page = dead("dead", "show", "q1").out
    for line in ("from     baton.requests", "because  was not taken", "reply_to  q", "n         1"):
        assert line in page
    assert page.endswith('Body\n{"text": "hello again"}\n')
    shown = dead("dead", "show", "q1", "--json").object
    assert (shown["body"], shown["headers"]) == ('{"text": "hello again"}', {"reply_to": "q", "n": 1})
    assert "body_base64" not in shown


def test_a_message_that_is_no_text_is_shown_without_steering_the_terminal(dead: Cli) -> None:
    keep(dead, b"\xff\x1b[31m")
    assert dead("dead", "show", "q3").out.endswith("Body\n\ufffd\\x1b[31m\n")
    assert dead("dead", "show", "q3", "--json").object["body_base64"] == "/xtbMzFt"


@pytest.mark.parametrize("command", ["show", "redrive", "discard"])
@pytest.mark.parametrize("dead_id", ["q9", "0123456789ab", "0", "qq"])
def test_what_is_not_there_is_exit_code_2(dead: Cli, command: str, dead_id: str) -> None:
    done = dead("dead", command, dead_id)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert dead_id in done.err
    assert len(ids(dead)) == 3


@pytest.mark.parametrize("command", ["redrive", "discard"])
@pytest.mark.parametrize("args", [[], ["q1", "--all"], ["--all", "--reason", "permanent"], ["q1", "--reason", "x"]])
def test_what_to_take_is_said_in_one_way(dead: Cli, command: str, args: list[str]) -> None:
    done = dead("dead", command, *args)
    assert done.code == 2
    assert "give ids, --reason CODE or --all, one of them" in done.err
    assert len(ids(dead)) == 3


def test_where_there_is_no_journal_is_exit_code_2(cli: Cli) -> None:
    for command in (["list"], ["show", "q1"], ["redrive", "q1"], ["discard", "--all"]):
        done = cli("dead", *command)
        assert (done.code, "there is no journal" in done.err) == (2, True)


def test_a_redriven_run_goes_on_and_is_off_the_list(cured: Cli) -> None:
    run_id = ids(cured)[0]
    done = cured("dead", "redrive", run_id[:12], "--by", "ann")
    assert (done.code, done.err) == (0, "")
    old, word, _, new = done.out.split()
    assert (old, word) == (run_id, "redriven")
    assert cured("watch", new, "--timeout", "20s").code == 0
    shown = cured("show", new, "--json").object
    assert (shown["status"], shown["text"], shown["request"]) == ("completed", "luck today", "fail")
    assert shown["route"]["agent"] == "front"
    assert ids(cured) == ["q1", "q2"]
    page = " ".join(cured("show", new).out.split())
    assert f"goes on where run {run_id} ended; redriven by ann" in page
    assert f"redrive of {run_id}" in page
    assert f"by ann, as run {new}" in " ".join(cured("show", run_id).out.split())


def test_a_request_in_quarantine_is_taken_again_once(cured: Cli) -> None:
    done = cured("dead", "redrive", "q1", "--json")
    assert done.code == 0
    told = done.object
    assert (told["id"], told["did"], told["error"]) == ("q1", "redriven", None)
    assert cured("watch", told["run_id"], "--timeout", "20s").code == 0
    assert cured("show", told["run_id"], "--json").object["request"] == "hello again"
    assert "q1" not in ids(cured)
    assert cured("dead", "redrive", "q1").code == 2


def test_a_request_whose_first_redrive_died_half_way_is_not_taken_twice(
    dead: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dies(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(SqliteJournal, "discard", dies)
        assert dead("dead", "redrive", "q1").code == 130
    assert "q1" in ids(dead)
    assert dead("dead", "redrive", "q1").code == 0
    assert [run["request"] for run in dead("runs", "--json").objects].count("hello again") == 1


@pytest.mark.parametrize(
    ("body", "changes", "told"),
    [
        (b"{", {}, "a request is JSON in UTF-8"),
        (b'{"text": "hi", "colour": 1}', {}, "unknown field 'colour'"),
        (b'{"text": "hi"}', {"source": "baton.agent.cards"}, "a message of 'baton.agent.cards' cannot be taken again"),
        (b'{"cancel": {"run_id": "0123"}}', {}, "no run '0123'"),
    ],
)
def test_a_message_that_cannot_be_taken_stays(dead: Cli, body: bytes, changes: dict[str, Any], told: str) -> None:
    keep(dead, body, **changes)
    done = dead("dead", "redrive", "q3")
    assert (done.code, done.out) == (2, "")
    assert told in done.err
    assert "q3" in ids(dead)


def test_a_run_is_not_redriven_twice(dead: Cli) -> None:
    run_id = ids(dead)[0]
    first = dead("dead", "redrive", run_id)
    assert first.code == 0
    assert "nobody serves the journal" in first.err
    for options in ([], ["--dry-run"]):
        again = dead("dead", "redrive", run_id, *options)
        assert (again.code, again.out) == (2, "")
        assert f"redriven before, as {first.out.split()[-1]}" in again.err


def test_of_several_one_that_is_refused_keeps_nobody_back(dead: Cli) -> None:
    run_id = ids(dead)[0]
    done = dead("dead", "redrive", "--all")
    assert done.code == 2
    assert [line.split()[0] for line in done.out.splitlines()] == [run_id, "q1"]
    assert "q2 refused: a request is JSON in UTF-8" in done.err
    assert "2 of 3 redriven\n" in done.err
    assert ids(dead) == ["q2"]


def test_of_several_as_json_each_is_an_object(dead: Cli) -> None:
    done = dead("dead", "redrive", "--all", "--json")
    assert [(one["id"][:2], one["did"]) for one in done.objects[1:]] == [("q1", "redriven"), ("q2", "refused")]
    assert done.objects[2]["error"]["code"] == "bad_json"
    assert len(done.objects[0]["run_id"]) == 32


def test_those_of_a_reason_are_redriven_and_no_others(dead: Cli) -> None:
    fail(dead, "fail too")
    done = dead("dead", "redrive", "--reason", "permanent", "--limit", "1")
    assert (done.code, len(done.out.splitlines())) == (0, 1)
    assert [view["text"] for view in dead("dead", "list", "--reason", "permanent", "--json").objects] == ["fail"]
    assert "none" in dead("dead", "redrive", "--reason", "max_attempts").err


@pytest.mark.parametrize(("command", "did"), [("redrive", "redriven"), ("discard", "discarded")])
def test_a_dry_run_says_what_would_be_done_and_does_nothing(dead: Cli, command: str, did: str) -> None:
    before = dead("dead", "list").out
    done = dead("dead", command, ids(dead)[0][:12], "q1", "--dry-run")
    assert done.code == 0
    assert [line.split("  ")[1] for line in done.out.splitlines()] == [f"would be {did}"] * 2
    assert f"2 of 2 would be {did}\n" in done.err
    assert dead("dead", "list").out == before
    assert len(dead("runs", "--json").objects) == 1


def test_a_dry_run_refuses_what_would_be_refused(dead: Cli) -> None:
    completed = dead("run", "cli_team.py", "--send", "hello", "--json").object["run_id"]
    for args in (["redrive", "q2"], ["redrive", completed], ["discard", completed], ["discard", "q9"]):
        done = dead("dead", *args, "--dry-run")
        assert (done.code, done.out) == (2, ""), args


def test_what_is_discarded_is_off_the_list(dead: Cli) -> None:
    run_id = ids(dead)[0]
    done = dead("dead", "discard", run_id[:12], "q2", "--by", "bob")
    assert (done.code, done.out) == (0, f"{run_id}  discarded\nq2  discarded\n")
    assert ids(dead) == ["q1"]
    assert "from the list of the dead by bob" in dead("show", run_id).out
    assert dead("dead", "discard", run_id).code == 2
    assert dead("dead", "discard", "--all").code == 0
    assert ids(dead) == []


def test_a_cancelled_run_is_redriven_too(cli: Cli) -> None:
    sent = cli("send", "hello", "--no-wait").out.strip()
    assert cli("cancel", sent).code == 0
    assert ids(cli) == []
    done = cli("dead", "redrive", sent)
    assert done.code == 0
    assert cli("show", done.out.split()[-1], "--json").object["status"] == "queued"


def test_where_hops_travel_over_a_broker_what_is_redriven_is_published(dead: Cli, amqp_url: str) -> None:
    run_id = ids(dead)[0]
    asyncio.run(declare(amqp_url, "front", "router"))
    done = dead("dead", "redrive", run_id, "q1", BATON_BROKER_URL=amqp_url)
    assert (done.code, done.err.splitlines()[0]) == (0, "2 of 2 redriven")
    run, request = (line.split()[-1] for line in done.out.splitlines())

    async def delivered(agent: str) -> tuple[str, str]:
        async with admin(amqp_url) as channel:
            message = await (await channel.get_queue(names.agent_queue(agent))).get(no_ack=True, timeout=5)
            return str(message.headers["baton-run"]), str(message.headers["baton-seq"])

    assert asyncio.run(delivered("front")) == (run, "1")
    assert asyncio.run(delivered("router")) == (request, "0")


def test_a_broker_that_cannot_be_reached_keeps_nothing_from_being_redriven(dead: Cli) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(("127.0.0.1", 0))
        url = f"amqp://guest:guest@127.0.0.1:{taken.getsockname()[1]}/"
        done = dead("dead", "redrive", ids(dead)[0], BATON_BROKER_URL=url)
    assert (done.code, len(done.out.splitlines())) == (0, 1)
    assert "the agents find what is redriven in the journal" in done.err
    assert "guest:guest" not in done.err
    assert ids(dead) == ["q1", "q2"]
