"""`trace` and `handoffs`: pictures of runs, from the journal alone."""

import shutil
import signal
import sqlite3
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.support.cli import Cli, stop

QUICK = {"BATON_RETRY_BASE_S": "0.02", "BATON_LEASE_S": "1"}
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def traced(cli: Cli) -> Cli:
    """Commands next to the team whose traces are drawn."""
    shutil.copy(Path(__file__).with_name("trace_team.py"), cli.directory)
    return cli


def send(cli: Cli, text: str) -> str:
    """Serve one request, and return its run."""
    return str(cli("run", "trace_team.py", "--send", text, "--json", **QUICK).object["run_id"])


def labels(page: str) -> list[str]:
    """Return the labels of a waterfall, indented as they are."""
    lines = page.split("\n\n")[1].splitlines()[1:]
    return [line.lstrip().split("  ")[0].join([" " * (len(line) - len(line.lstrip())), ""]) for line in lines]


def test_a_run_is_drawn_with_its_handoff_and_its_retry(traced: Cli) -> None:
    done = traced("trace", send(traced, "flaky please")[:16])
    assert done.code == 0
    assert labels(done.out) == [
        "run",
        "  hop 0 router",
        "    route → front",
        "  hop 1 front",
        "    invoke_agent front",
        "      execute_tool look_up",
        "      handoff → back",
        "  hop 2 back",
        "    attempt 1 ! transient",
        "      invoke_agent back",
        "    wait retry",
        "    attempt 2",
        "      invoke_agent back",
    ]
    where = done.out.splitlines()[-1]
    assert where.startswith("where the time went: route ")
    assert all(f" {kind} " in where for kind in ("queue", "work", "retry"))


def test_a_failed_run_says_where_it_failed(traced: Cli) -> None:
    page = traced("trace", send(traced, "fail please")).out
    assert "failed by back in" in page
    told = labels(page)
    assert told[0] == "run ! max_attempts"
    assert "  hop 2 back ! max_attempts" in told
    assert told[-2:] == ["    attempt 2 ! max_attempts", "      invoke_agent back"]


def test_an_attempt_whose_process_died_is_lost(traced: Cli) -> None:
    died = traced.run("run", "trace_team.py", "--send", "die please", "--json", **QUICK)
    assert died.code == 9
    [run] = traced("runs", "--json").objects
    serving = traced.serve("trace_team.py", **QUICK)
    try:
        assert traced("watch", run["run_id"], "--timeout", "30s").code == 0
    finally:
        stop(serving, signal.SIGTERM)
    told = labels(traced("trace", run["run_id"]).out)
    assert told[told.index("  hop 2 back") :] == [
        "  hop 2 back",
        "    attempt 1 lost ! worker_lost",
        "    attempt 2",
        "      invoke_agent back",
    ]


def test_a_long_wait_is_cut_out(traced: Cli) -> None:
    run = send(traced, "ask me")
    waiting = traced("trace", run)
    assert labels(waiting.out)[-2:] == ["  hop 2 front", "    wait user"]
    assert "▶" in waiting.out.splitlines()[-4]
    _make_older(traced, 183_600)
    traced("run", "trace_team.py", "--send", "hello", **QUICK)
    assert traced("reply", run, "this one", "--no-wait").code == 0
    send(traced, "hello")
    page = traced("trace", run, "--width", "120").out
    assert max(map(len, page.splitlines())) <= 120
    [wait] = [line for line in page.splitlines() if "wait user" in line]
    assert wait.endswith("⋯ 2 d 3 h ⋯")
    assert "wait 2 d 3 h" in page.splitlines()[-1]
    assert "▶" not in page.split("\n\n")[1]


def test_a_run_that_nobody_has_begun_is_drawn(traced: Cli) -> None:
    send(traced, "hello")
    sent = traced("send", "later", "--no-wait", "--json").object
    page = traced("trace", sent["run_id"]).out
    assert labels(page) == ["run", "  hop 0 router (pending)"]
    assert page.count("▶") == 3, "the run, its hop and the legend"
    assert page.splitlines()[-1].startswith("where the time went: queue ")


def test_a_trace_as_json_has_every_span_and_the_seconds(traced: Cli) -> None:
    run = send(traced, "handoff please")
    shown = traced("trace", run, "--json").object
    assert (shown["run_id"], shown["trace_id"], shown["status"]) == (run, run, "completed")
    root, *others = shown["spans"]
    assert (root["name"], root["parent_id"], root["goes_on"]) == ("invoke_workflow baton", None, False)
    assert {span["name"] for span in others} >= {
        "process baton.agent.router",
        "route",
        "publish baton.work:back",
        "execute_tool look_up",
        "execute_tool transfer_to_back back",
        "invoke_agent back",
    }
    assert {span["trace_id"] for span in shown["spans"]} == {run}
    ids = {span["span_id"] for span in shown["spans"]}
    assert all(span["parent_id"] in ids for span in others)
    seconds = shown["time"]
    total_s = seconds.pop("total_s")
    assert seconds.keys() == {f"{kind}_s" for kind in ("route", "queue", "work", "tool", "wait", "retry", "other")}
    assert sum(seconds.values()) == pytest.approx(total_s)


def test_the_address_in_jaeger_is_all_that_is_printed(traced: Cli) -> None:
    run = send(traced, "hello")
    assert traced("trace", run, "--url").out == f"http://127.0.0.1:16686/trace/{run}\n"
    there = traced("trace", run, "--url", BATON_JAEGER_URL="https://traces.example/jaeger/")
    assert there.out == f"https://traces.example/jaeger/trace/{run}\n"


def test_a_run_that_is_not_there_is_exit_code_2(traced: Cli) -> None:
    send(traced, "hello")
    done = traced("trace", "0" * 32)
    assert (done.code, done.out) == (2, "")
    assert f"no run '{'0' * 32}'" in done.err
    assert traced("trace", send(traced, "hello"), "--width", "9").code == 2


def test_handoffs_are_counted_with_what_failed_and_what_went_in_circles(traced: Cli) -> None:
    for text in ("handoff please", "back please", "fail please"):
        send(traced, text)
    done = traced("handoffs")
    assert done.code == 0
    head, *rows, totals = [line.split() for line in done.out.splitlines()]
    assert head == ["from", "to", "count", "queue", "p50", "p95", "failed", "loops"]
    assert [(row[:3], row[-2:]) for row in rows] == [
        (["front", "back", "3"], ["1", "0"]),
        (["router", "front", "3"], ["0", "0"]),
        (["back", "front", "1"], ["0", "1"]),
    ]
    assert " ".join(totals) == "7 handoffs · 1 failed at the target · 1 loop · 3 runs accepted in the last 1 h"
    cut = traced("handoffs", "--limit", "1")
    assert "1 run accepted" in cut.out
    assert "only the newest 1 run were counted" in cut.err


def test_handoffs_as_json(traced: Cli) -> None:
    send(traced, "back please")
    for options in (["--json"], ["--format", "json"]):
        shown = traced("handoffs", "--since", "30m", *options).object
        assert (shown["since_s"], shown["runs"], shown["is_cut"]) == (1800.0, 1, False)
        assert [(node["name"], node["kind"], node["layer"]) for node in shown["nodes"]] == [
            ("router", "router", 0),
            ("front", "agent", 1),
            ("back", "agent", 2),
        ]
        back = next(edge for edge in shown["edges"] if (edge["from"], edge["to"]) == ("back", "front"))
        assert (back["count"], back["failures"], back["loops"]) == (1, 0, 1)
        assert 0 <= back["queue_p50_s"] <= back["queue_p95_s"]


def test_handoffs_as_a_picture(traced: Cli) -> None:
    send(traced, "back please")
    _rename(traced, "back", 'b<a>&"k"')
    done = traced("handoffs", "--format", "svg")
    root = ET.fromstring(done.out)
    assert root.tag == f"{SVG}svg"
    texts = ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]
    assert texts[-3:] == ["router", "front", 'b<a>&"k"']
    assert "1 ↺1" in texts
    assert len(list(root.iter(f"{SVG}path"))) == 1 + 3
    assert not list(root.iter(f"{SVG}script"))
    assert "prefers-color-scheme: dark" in done.out


def test_a_window_without_handoffs_says_so(traced: Cli) -> None:
    send(traced, "hello")
    _make_older(traced, 7200)
    done = traced("handoffs", "--since", "1h")
    assert (done.code, done.out) == (0, "")
    assert "no handoffs in the last 1 h: 0 runs accepted" in done.err
    assert traced("handoffs", "--since", "1h", "--json").object["edges"] == []
    [caption] = ET.fromstring(traced("handoffs", "--format", "svg").out).iter(f"{SVG}text")
    assert str(caption.text).startswith("no handoffs in the last 1 h")
    nobodys = traced("handoffs", "--since", "3h", "--tenant", "nobody")
    assert (nobodys.code, nobodys.out) == (0, "")
    assert "router" in traced("handoffs", "--since", "3h").out


@pytest.mark.parametrize("options", [["--since", "soon"], ["--format", "png"], ["--limit", "0"]])
def test_what_handoffs_cannot_take_is_exit_code_2(traced: Cli, options: list[str]) -> None:
    send(traced, "hello")
    assert traced("handoffs", *options).code == 2


def _make_older(cli: Cli, seconds: float) -> None:
    """Let everything that the journal has be so much older."""
    times = {
        "runs": ("accepted_at", "ended_at"),
        "hops": ("due_at", "pending_since", "started_at", "ended_at"),
        "steps": ("started_at", "ended_at"),
        "waits": ("created_at", "answered_at"),
        "events": ("at",),
    }
    _change(cli, *(f"UPDATE {t} SET {c} = {c} - {seconds}" for t, columns in times.items() for c in columns))


def _rename(cli: Cli, name: str, to: str) -> None:
    """Have hops tell of another agent."""
    _change(cli, *(f"UPDATE hops SET {c} = '{to}' WHERE {c} = '{name}'" for c in ("agent", "from_agent")))


def _change(cli: Cli, *statements: str) -> None:
    with sqlite3.connect(cli.directory / ".baton" / "journal.db") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()
