"""`baton demo`: the desk's own requests, and a file of anybody's."""

import json
from collections import Counter

from tests.support.cli import Cli

REQUESTS = [
    {"text": "my card was stolen", "intent": "lost_or_stolen_card"},
    {"text": "my card was stolen", "intent": "lost_or_stolen_card"},
    {"text": "Could you recommend a good recipe for lentil soup?", "intent": "none"},
    {"text": "The hotel payment on my card has been pending for days", "intent": "pending", "facts": {"customer": "x"}},
    {"text": "hello", "to": "topups", "conversation_id": "c1", "note": {"any": "thing"}},
]


def test_the_demo_goes_as_its_requests_expect(cli: Cli) -> None:
    done = cli.run("demo")
    assert (done.code, done.err) == (0, "")
    for line in ("scripted operator approves: ", "hands off → disputes", "Summary", "Totals", "16 completed"):
        assert line in done.out
    assert " NO " not in done.out


def test_the_demo_as_json_agrees_with_runs(cli: Cli) -> None:
    done = cli("demo", "--json")
    assert done.code == 0
    *runs, summary = done.objects
    assert {run["type"] for run in runs} == {"run"}
    assert (summary["type"], summary["runs"], summary["statuses"]) == ("summary", 16, {"completed": 16})
    listed = cli("runs", "--batch", summary["batch"], "--json").objects
    assert {run["run_id"]: run | {"type": "run"} for run in listed} == {run["run_id"]: run for run in runs}


def test_requests_from_a_file_run_in_order_and_are_left_waiting(cli: Cli) -> None:
    lines = [json.dumps(request) for request in REQUESTS]
    (cli.directory / "f.jsonl").write_text("\n".join([*lines[:2], "nonsense", *lines[2:], '{"text": 1}']))
    labels = {"intents": {"lost_or_stolen_card": "cards", "pending": "cash"}}
    (cli.directory / "labels.json").write_text(json.dumps(labels))
    done = cli("demo", "--requests", "f.jsonl", "--labels", "labels.json", "--json")
    assert done.code == 2
    assert [line.split(":")[0] for line in done.err.splitlines()[:2]] == ["line 3", "line 7"]
    *runs, summary = done.objects
    assert [run["request"] for run in runs] == [request["text"] for request in REQUESTS]
    assert len({run["run_id"] for run in runs}) == 5
    assert [run["status"] for run in runs] == ["completed", "completed", "waiting", "completed", "completed"]
    assert [run["route"]["agent"] for run in runs] == ["cards", "cards", "human", "payments", "topups"]
    assert runs[0].keys() > {"type", "run_id", "status", "agent", "route", "trail", "text"}
    told = {"agent", "skill", "confidence", "method", "how", "model", "runner_up", "margin", "note"}
    assert runs[0]["route"].keys() == told
    assert summary["statuses"] == {"completed": 4, "waiting": 1}
    assert summary["bad_lines"] == 2
    assert (summary["abstained_share"], summary["answered_share"]) == (0.2, 0.8)
    # Whom the bank does not know got an answer, and no record was looked up for them.
    assert summary["acted_share"] == 0.4
    assert (summary["right_share"], summary["placed_right_share"]) == (0.6667, 0.6667)


def test_each_demo_is_a_batch_of_its_own(cli: Cli) -> None:
    (cli.directory / "f.jsonl").write_text('{"text": "my card was stolen"}\n')
    batches = [cli("demo", "--requests", "f.jsonl", "--json").objects[-1]["batch"] for _ in range(2)]
    runs = cli("runs", "--json").objects
    assert Counter(run["batch"] for run in runs) == dict.fromkeys(batches, 1)


def test_without_labels_nothing_is_called_right(cli: Cli) -> None:
    (cli.directory / "f.jsonl").write_text('{"text": "my card was stolen", "intent": "x"}\n')
    summary = cli("demo", "--requests", "f.jsonl", "--json").objects[-1]
    assert "right_share" not in summary


def test_files_that_cannot_be_read_are_exit_code_2(cli: Cli) -> None:
    (cli.directory / "f.jsonl").write_text('{"text": "hello"}\n')
    (cli.directory / "bad.json").write_text("[]")
    for args in (["absent.jsonl"], ["f.jsonl", "--labels", "absent.json"], ["f.jsonl", "--labels", "bad.json"]):
        done = cli("demo", "--requests", *args)
        assert done.code == 2
        assert done.err.startswith("error: ")
