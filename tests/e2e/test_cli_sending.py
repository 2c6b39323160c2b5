"""`baton send`, `reply`, `cancel` and `watch`, against a process that serves, and against nobody."""

import signal

import pytest

from tests.support.cli import Cli, read_until, stop


def waiting(cli: Cli, text: str) -> str:
    """Send a request that comes to wait for somebody, and return its run."""
    result = cli("send", text, "--json").object
    assert result["status"] == "waiting"
    return str(result["run_id"])


def test_send_waits_for_the_result(served: Cli) -> None:
    done = served("send", "hello")
    assert done.code == 0
    assert "status  completed by front in " in done.out
    assert "answer  5 characters" in done.out


def test_send_as_json_is_the_result_of_the_wire_contract(served: Cli) -> None:
    result = served("send", "handoff", "--facts", "kept=1", "--json").object
    assert result["trail"] == ["router", "front", "back"]
    assert {"run_id", "conversation_id", "status", "text", "data", "facts", "agent", "trail", "error"} <= result.keys()


def test_send_reads_the_text_from_standard_input(served: Cli) -> None:
    assert served("send", "-", "--json", stdin="hellö\n").object["text"] == "5 characters"


def test_facts_are_strings_or_json(served: Cli) -> None:
    sent = served(
        "send", "hello", "--facts", "a=1", "--facts", '{"b": {"c": [2]}}', "--facts", "d=e=f", "--json"
    ).object
    assert sent["data"] == {"facts": {"a": "1", "b": {"c": [2]}, "d": "e=f"}}


def test_send_to_an_agent_is_not_classified(served: Cli) -> None:
    sent = served("send", "hello", "--to", "back", "--json").object
    assert sent["trail"] == ["router", "back"]


def test_a_key_is_sent_once(served: Cli) -> None:
    first = served("send", "hello", "--key", "k1", "--json").object
    again = served("send", "hello", "--key", "k1", "--json")
    assert again.object["run_id"] == first["run_id"]
    assert "nothing was sent again" in again.err
    other = served("send", "another", "--key", "k1")
    assert other.code == 2
    assert "used before with another body" in other.err


def test_a_failed_run_is_exit_code_1(served: Cli) -> None:
    done = served("send", "fail")
    assert done.code == 1
    assert "no luck today" in done.out


def test_a_deadline_ends_the_run(served: Cli) -> None:
    done = served("send", "hang", "--deadline", "100ms", "--json")
    assert done.code == 1
    assert done.object["error"]["code"] == "deadline_exceeded"


def test_a_timeout_is_exit_code_3_and_the_run_can_be_cancelled(served: Cli) -> None:
    done = served("send", "hang", "--timeout", "0.1s")
    assert done.code == 3
    run = done.err.split()[2]
    cancelled = served("cancel", run, "--reason", "no need")
    # Which of them depends on whether the agent has begun.
    assert cancelled.out in (f"run {run} is cancelled\n", f"run {run} ends at its agent's next write\n")
    watched = served("watch", run)
    assert watched.code == 1
    assert "no need" in watched.out.splitlines()[-1]


def test_a_question_is_answered_with_text(served: Cli) -> None:
    run = waiting(served, "ask me")
    listed = served("runs", "--waiting")
    assert run in listed.out
    assert "Which one?" in listed.out
    done = served("reply", run[:20], "blue")
    assert done.code == 0
    assert "you said blue" in done.out
    second = served("reply", run, "red")
    assert second.code == 2
    assert "is over: answered by" in second.err


def test_send_shows_what_a_run_waits_for_and_how_to_answer(served: Cli) -> None:
    done = served("send", "ask")
    assert done.code == 0
    assert "options      red, blue" in done.out
    assert f"baton reply {done.out.split()[1]} TEXT" in done.out


def test_the_next_text_of_a_conversation_is_the_reply(served: Cli) -> None:
    asked = served("send", "ask", "--conversation", "c1", "--json").object
    replied = served("send", "green", "--conversation", "c1", "--json").object
    assert (replied["run_id"], replied["text"]) == (asked["run_id"], "you said green")


def test_an_approval_is_granted_or_refused(served: Cli) -> None:
    granted, refused = waiting(served, "approve one"), waiting(served, "approve two")
    assert served("reply", granted, "--approve", "--json").object["text"] == "granted"
    assert served("reply", refused, "--reject", "--reason", "too late", "--json").object["text"] == "denied: too late"


def test_a_person_answers_or_hands_off(served: Cli) -> None:
    answered, handed = waiting(served, "nobody takes this"), waiting(served, "nobody takes that")
    done = served("reply", answered, "-", "--by", "ann", "--json", stdin="I do\n").object
    assert (done["agent"], done["text"]) == ("human", "I do")
    done = served("reply", handed, "--handoff", "back", "--json").object
    assert done["trail"] == ["router", "human", "back"]


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (["--approve"], "a wait of kind 'user' takes text; seen: approve"),
        (["--handoff", "back"], "takes text; seen: handoff"),
        (["x", "--approve"], "one of TEXT, --approve, --reject and --handoff"),
        ([], "one of TEXT, --approve, --reject and --handoff"),
    ],
)
def test_a_reply_that_the_wait_does_not_take_is_exit_code_2(served: Cli, args: list[str], told: str) -> None:
    run = waiting(served, "ask")
    done = served("reply", run, *args)
    assert done.code == 2
    assert told in done.err


def test_cancel_ends_a_waiting_run_once(served: Cli) -> None:
    run = waiting(served, "ask")
    assert served("cancel", run, "--json").object == {"run_id": run, "status": "cancelled"}
    assert served("cancel", run).code == 0
    ended = served("send", "hello", "--json").object["run_id"]
    done = served("cancel", ended)
    assert done.code == 2
    assert f"run {ended} is completed; a cancel needs a run that has not ended" in done.err


@pytest.mark.parametrize("command", [["show"], ["watch"], ["cancel"], ["reply", "--approve"]])
def test_an_unknown_run_is_exit_code_2(served: Cli, command: list[str]) -> None:
    done = served(command[0], "0123456789", *command[1:])
    assert (done.code, done.out) == (2, "")
    assert "no run '0123456789'" in done.err


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([" "], "text is empty"),
        (["a\0b"], "text has U+0000"),
        (["x" * 300_000], "text has 300000 bytes; at most 262144 are allowed"),
        (["a", "--facts", "nonsense"], "neither KEY=VALUE nor a JSON object"),
        (["a", "--facts", "{"], "is no JSON"),
        (["a", "--deadline", "soon"], "'soon' is no duration"),
        (["a", "--deadline", "0"], "deadline_s"),
        (["a", "--conversation", ""], "conversation_id"),
        ([], "give TEXT, or --file, one of them"),
        (["a", "--file", "f"], "give TEXT, or --file, one of them"),
        (["--file", "f", "--key", "k"], "--key names one request"),
        (["--file", "absent.jsonl"], "'absent.jsonl' cannot be read"),
    ],
)
def test_a_bad_request_is_exit_code_2(served: Cli, args: list[str], told: str) -> None:
    done = served("send", *args)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


def test_text_that_is_no_utf8_is_exit_code_2(served: Cli) -> None:
    done = served("send", "-", stdin=b"caf\xe9")
    assert done.code == 2
    assert "standard input is no UTF-8: byte 3 is bad" in done.err


LINES = b"""{"text": "hello"}

nonsense
[1]
{"facts": {}}
{"text": " "}
{"text": "x", "facts": 1}
{"text": "x", "unknown": 1}
\xff
{"text": "handoff", "facts": {"kept": 1}, "to": "front"}
"""


def test_malformed_lines_are_named_and_the_others_run(served: Cli) -> None:
    done = served("send", "--file", "-", "--json", stdin=LINES)
    assert done.code == 2
    assert [(line["line"], line["status"], line["agent"]) for line in done.objects] == [
        (1, "completed", "front"),
        (10, "completed", "back"),
    ]
    told = {line.split(":")[0]: line for line in done.err.splitlines()[:-1]}
    assert list(told) == [f"line {number}" for number in (3, 4, 5, 6, 7, 8, 9)]
    assert "no JSON" in told["line 3"]
    assert "unknown field 'unknown'" in told["line 8"]
    assert "no UTF-8" in told["line 9"]
    assert done.err.splitlines()[-1].startswith("2 requests: 2 completed; 7 bad lines; batch ")


def test_a_file_is_a_batch_and_a_conversation_keeps_its_order(served: Cli) -> None:
    lines = ['{"text": "ask"}', '{"text": "one"}', '{"text": "%s"}' % ("x" * 7)]
    (served.directory / "f.jsonl").write_text("\n".join(lines))
    done = served("send", "--file", "f.jsonl", "--conversation", "c2")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == ["1", "2", "3"]
    assert [line.split(maxsplit=4)[-1] for line in done.out.splitlines()] == [
        "Which one?",
        "you said one",
        "7 characters",
    ]
    batch = done.err.split()[-1]
    assert len(served("runs", "--batch", batch, "--json").objects) == 2


def test_a_file_with_a_failed_run_is_exit_code_1(served: Cli) -> None:
    assert served("send", "--file", "-", stdin='{"text": "fail"}\n{"text": "fine"}').code == 1


def test_a_file_can_be_recorded_without_waiting(served: Cli) -> None:
    done = served("send", "--file", "-", "--no-wait", "--json", stdin='{"text": "ask"}\n{"text": "hello"}')
    assert done.code == 0
    assert [len(line["run_id"]) for line in done.objects] == [32, 32]


def test_watch_prints_events_until_the_end(served: Cli) -> None:
    run = waiting(served, "approve three")
    process = served.process("watch", run)
    read_until(process, "waits for approval: May I go on?")
    assert served("reply", run, "--approve", "--by", "ann").code == 0
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert "approve by ann" in out
    assert out.splitlines()[-1].endswith("front answered")


def test_watch_as_json_is_one_event_a_line(served: Cli) -> None:
    run = served("send", "hello", "--json").object["run_id"]
    assert [event["number"] for event in served("watch", run, "--json").objects] == [1, 2, 3, 4]


def test_watch_gives_up_after_its_timeout(served: Cli) -> None:
    assert served("watch", waiting(served, "ask"), "--timeout", "50ms").code == 3


def test_ctrl_c_is_silent(served: Cli) -> None:
    process = served.process("watch", waiting(served, "ask"))
    read_until(process, "asked its user")
    ended = stop(process, signal.SIGINT)
    assert (ended.code, ended.err) == (130, "")


def test_a_closed_pipe_is_silent(served: Cli) -> None:
    run = waiting(served, "approve four")
    with served.process("watch", run) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        served("reply", run, "--approve")
        assert process.wait(timeout=30) == 141
        assert process.stderr.read() == ""


def test_where_nobody_serves_send_says_so(cli: Cli) -> None:
    done = cli("send", "hello")
    assert done.code == 3
    assert "nobody serves the journal" in done.err
    assert "nothing was sent" in done.err
    assert not (cli.directory / ".baton").exists()


def test_where_nobody_serves_a_request_can_be_recorded(cli: Cli) -> None:
    done = cli("send", "hello", "--no-wait")
    assert done.code == 0
    assert "nobody serves" in done.err
    process = cli.serve("cli_team.py")
    watched = cli("watch", done.out.strip())
    stop(process, signal.SIGTERM)
    assert watched.code == 0


def test_a_reply_where_nobody_serves_is_recorded_and_said_to_wait(cli: Cli) -> None:
    run = cli("run", "cli_team.py", "--send", "ask", "--json").object["run_id"]
    done = cli("reply", run, "red")
    assert done.code == 3
    assert f"run {run} goes on when somebody serves the journal" in done.err
    process = cli.serve("cli_team.py")
    watched = cli("watch", run, "--json")
    stop(process, signal.SIGTERM)
    assert watched.objects[-1]["type"] == "answer"
