"""`baton send`, `reply` and `cancel` with a broker and no journal."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.support.cli import Cli, Done
from tests.support.requests import echoing, served
from tests.support.servers.handles import RabbitServer

Send = Callable[..., "asyncio.Future[Done]"]


@pytest.fixture
async def baton(amqp_url: str, tmp_path: Path, cli: Cli) -> AsyncIterator[Send]:
    """Commands beside a served team whose journal they cannot reach."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()

    async def run(*args: str, **env: str) -> Done:
        return await asyncio.to_thread(cli, *args, BATON_BROKER_URL=amqp_url, **env)

    async with served(amqp_url, hidden, echoing()):
        yield run  # type: ignore[misc]


async def test_send_prints_trail_and_answer(baton: Send, cli: Cli) -> None:
    done = await baton("send", "hello", "--facts", "account=7", "--to", "b")
    assert (done.code, done.err) == (0, "")
    lines = dict(line.split(maxsplit=1) for line in done.out.splitlines())
    assert (lines["status"], lines["trail"], lines["answer"]) == ("completed by b", "router → b", "said hello")
    assert not (cli.directory / ".baton").exists(), "no journal is made"


async def test_send_as_json_is_the_result(baton: Send) -> None:
    result = (await baton("send", "-", "--json", stdin="hello")).object
    assert (result["status"], result["text"], result["trail"]) == ("completed", "said hello", ["router", "a"])


async def test_a_question_is_shown_with_the_command_that_answers_it(baton: Send) -> None:
    asked = await baton("send", "ask")
    assert "options      red, blue" in asked.out
    command = next(line for line in asked.out.splitlines() if line.startswith("answer with")).split()
    assert command[2:4] == ["baton", "reply"]
    run = command[4]
    replied = await baton("reply", run, "blue", "--json")
    assert (replied.code, replied.object["text"]) == (0, "said blue")
    again = await baton("reply", run, "red")
    assert again.code == 2
    assert "is over: answered by" in again.err


async def test_cancel_ends_a_run(baton: Send) -> None:
    run = (await baton("send", "ask", "--json")).object["run_id"]
    assert (await baton("cancel", run, "--json")).object == {"run_id": run, "status": "cancelled"}
    assert (await baton("cancel", run)).out == f"run {run} is cancelled\n"
    ended = (await baton("send", "hello", "--json")).object["run_id"]
    done = await baton("cancel", ended)
    assert (done.code, done.out) == (2, "")
    assert f"run {ended} is completed" in done.err


async def test_what_is_sent_without_waiting_is_told_by_its_key(baton: Send) -> None:
    sent = await baton("send", "hello", "--no-wait")
    key = sent.out.strip()
    assert len(key) == 32
    result = (await baton("send", "hello", "--key", key, "--json")).object
    assert result["text"] == "said hello"
    other = await baton("send", "other", "--key", key)
    assert other.code == 2
    assert "used before with another body" in other.err


async def test_a_file_is_sent_in_order(baton: Send) -> None:
    lines = '{"text": "one"}\nnonsense\n{"text": "two", "to": "b"}\n'
    done = await baton("send", "--file", "-", "--json", stdin=lines)
    assert done.code == 2
    assert [(line["line"], line["text"], line["agent"]) for line in done.objects] == [
        (1, "said one", "a"),
        (3, "said two", "b"),
    ]
    assert done.err.splitlines()[-1] == "2 requests: 2 completed; 1 bad line"
    published = await baton("send", "--file", "-", "--no-wait", "--json", stdin='{"text": "one"}')
    assert len(published.object["key"]) == 32


async def test_what_needs_the_journal_says_that_there_is_none(baton: Send) -> None:
    run = (await baton("send", "ask", "--json")).object["run_id"]
    for args in (["reply", run, "--approve"], ["reply", run[:12], "blue"], ["show", run]):
        done = await baton(*args)
        assert done.code == 2
        assert "there is no journal" in done.err


async def test_no_answer_in_time_is_exit_code_3(amqp_url: str, cli: Cli, tmp_path: Path) -> None:
    async with served(amqp_url, tmp_path):
        pass  # the queues stay, nobody serves
    done = await asyncio.to_thread(cli, "send", "hello", "--key", "k", "--timeout", "50ms", BATON_BROKER_URL=amqp_url)
    assert (done.code, done.out) == (3, "")
    assert "run under key 'k' did not end within 0.05 s" in done.err


def test_without_a_broker_it_is_one_line_and_exit_code_3(cli: Cli) -> None:
    done = cli("send", "hello", BATON_BROKER_URL="amqp://someone:secret@127.0.0.1:1/")
    assert (done.code, done.out) == (3, "")
    [line] = [line for line in done.err.splitlines() if line.startswith("error:")]
    assert "not connected to amqp://127.0.0.1:1/" in line
    assert "secret" not in done.err


def test_a_refused_user_is_exit_code_2(cli: Cli, amqp_server: RabbitServer) -> None:
    host = amqp_server.url.rpartition("@")[2]
    done = cli("send", "hello", BATON_BROKER_URL=f"amqp://nobody:wrong@{host}")
    assert (done.code, done.out) == (2, "")
    assert "refuses this user or vhost" in done.err
