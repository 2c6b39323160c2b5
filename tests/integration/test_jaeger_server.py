"""The Jaeger that tests get: which program it is, what it shows of a trace, and that it takes our configuration."""

import json
import re
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from baton.telemetry import names
from tests.support.jaeger import Link, Span, page, send, spans_of, traces_with
from tests.support.servers import jaeger as jaegers
from tests.support.servers.jaeger import JaegerServer, Program, obtain, running, shared
from tests.support.waiting import until

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "deploy" / "jaeger" / "config.yaml"
UI = ROOT / "deploy" / "jaeger" / "ui.json"

START_NS = 1_764_000_000_000_000_000
ROOT_ID, PROCESS_ID = "00000000000000a1", "00000000000000b2"


def attribute(key: str, kind: str, value: object) -> dict[str, Any]:
    return {"key": key, "value": {kind: value}}


def otlp(service: str, **span: Any) -> dict[str, Any]:
    """Return a span of a service as OTLP's JSON."""
    resource = {"attributes": [attribute("service.name", "stringValue", service)]}
    return {"resource": resource, "scopeSpans": [{"scope": {"name": "test"}, "spans": [span]}]}


def trace(trace_id: str, run_id: str) -> list[dict[str, Any]]:
    """Return a run of 2 seconds, in whose second half an agent fails; the later span is first."""
    run = attribute(names.RUN_ID, "stringValue", run_id)
    counts = attribute("counts", "arrayValue", {"values": [{"intValue": "2"}, {"doubleValue": 0.5}]})
    process = otlp(
        "cards",
        traceId=trace_id,
        spanId=PROCESS_ID,
        parentSpanId=ROOT_ID,
        name="process baton.agent.cards",
        kind=5,
        startTimeUnixNano=str(START_NS + 1_000_000_000),
        endTimeUnixNano=str(START_NS + 2_000_000_000),
        attributes=[run, attribute("attempt", "intValue", "1"), counts],
        links=[{"traceId": trace_id, "spanId": ROOT_ID, "attributes": [attribute("is_retry", "boolValue", False)]}],
        status={"code": 2, "message": "the lease was lost"},
    )
    root = otlp(
        "router",
        traceId=trace_id,
        spanId=ROOT_ID,
        name="invoke_workflow desk",
        kind=1,
        startTimeUnixNano=str(START_NS),
        endTimeUnixNano=str(START_NS + 2_000_000_000),
        attributes=[run],
    )
    return [process, root]


async def sent(server: JaegerServer) -> tuple[str, str]:
    """Send a trace; return its id and that of its run, once Jaeger has it."""
    trace_id, run_id = uuid4().hex, uuid4().hex
    send(server.otlp_url, trace(trace_id, run_id))
    await until(lambda: len(spans_of(server.query_url, trace_id)) == 2, what="Jaeger shows both spans")
    return trace_id, run_id


async def test_a_trace_is_shown_with_all_that_its_spans_tell(jaeger: JaegerServer) -> None:
    trace_id, run_id = await sent(jaeger)
    assert spans_of(jaeger.query_url, trace_id) == [
        Span("invoke_workflow desk", "router", ROOT_ID, attributes={names.RUN_ID: run_id}),
        Span(
            "process baton.agent.cards",
            "cards",
            PROCESS_ID,
            parent_id=ROOT_ID,
            kind="consumer",
            attributes={names.RUN_ID: run_id, "attempt": 1, "counts": [2, 0.5]},
            links=(Link(trace_id, ROOT_ID, {"is_retry": False}),),
            is_error=True,
        ),
    ]
    assert spans_of(jaeger.query_url, uuid4().hex) == []


async def test_a_span_whose_parent_never_came_has_a_warning(jaeger: JaegerServer) -> None:
    trace_id = uuid4().hex
    send(jaeger.otlp_url, trace(trace_id, "a run")[:1])
    (span,) = await until(lambda: spans_of(jaeger.query_url, trace_id), what="Jaeger shows the span")
    assert any(ROOT_ID.lstrip("0") in warning for warning in span.warnings)
    assert span.attributes.keys() == {names.RUN_ID, "attempt", "counts"}


async def test_a_trace_is_found_by_its_run(jaeger: JaegerServer) -> None:
    trace_id, run_id = await sent(jaeger)
    other_id, other_run = await sent(jaeger)
    for service in ("router", "cards"):
        assert traces_with(jaeger.query_url, names.RUN_ID, run_id, service=service) == {trace_id}
        assert traces_with(jaeger.query_url, names.RUN_ID, other_run, service=service) == {other_id}
    assert traces_with(jaeger.query_url, names.RUN_ID, uuid4().hex, service="cards") == set()


async def test_the_deployed_jaeger_keeps_its_spans_over_a_restart(jaeger_program: Program, tmp_path: Path) -> None:
    with running(jaeger_program, tmp_path, deployed(tmp_path)) as server:
        trace_id, run_id = await sent(server)
    with running(jaeger_program, tmp_path, deployed(tmp_path)) as server:
        assert [span.service for span in spans_of(server.query_url, trace_id)] == ["router", "cards"]
        assert traces_with(server.query_url, names.RUN_ID, run_id, service="cards") == {trace_id}
    assert any((tmp_path / "spans" / "values").iterdir())


def test_the_deployed_jaeger_links_a_run_to_its_page_in_the_console(jaeger_program: Program, tmp_path: Path) -> None:
    with running(jaeger_program, tmp_path, deployed(tmp_path)) as server:
        written = re.search(r"JAEGER_CONFIG = (.*);$", page(server.query_url), re.MULTILINE)
    assert written is not None
    told = json.loads(written[1])
    assert told == json.loads(UI.read_text(encoding="utf-8"))
    (pattern,) = told["linkPatterns"]
    # What jaeger-ui's LinkPatternsConfig knows: an attribute of a span is a tag, and `#{…}` is its value.
    assert (pattern["type"], pattern["key"]) == ("tags", names.RUN_ID)
    assert pattern["url"].endswith(f"/runs/#{{{names.RUN_ID}}}")


def test_a_jaeger_that_does_not_start_tells_why(jaeger_program: Program, tmp_path: Path) -> None:
    nonsense = {"exporters": {"jaeger_storage_exporter": {"trace_storage": "nowhere"}}}
    with (
        pytest.raises(RuntimeError, match=r"Jaeger did not start: it ended; its log: .*nowhere"),
        running(jaeger_program, tmp_path, jaegers.MEMORY, nonsense),
    ):
        pytest.fail("it started")


def deployed(folder: Path) -> Path:
    """Return the deployed configuration for outside its container: with other folders, and else as it is."""
    text = CONFIG.read_text(encoding="utf-8")
    for inside, outside in {"/tmp/jaeger/": f"{folder}/spans/", "/etc/jaeger/": f"{CONFIG.parent}/"}.items():
        assert inside in text
        text = text.replace(inside, outside)
    path = folder / "deployed.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def program(path: Path, script: str) -> Path:
    """Write a program that stands for another, for decisions that nothing real can be had for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(stat.S_IRWXU)
    return path


def answering(version: str) -> str:
    return f"""echo '{{"gitCommit":"","gitVersion":"{version}","buildDate":""}}'"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which there is neither a Jaeger nor a Go."""
    return {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}


@pytest.fixture
def go(tmp_path: Path, environ: dict[str, str]) -> Path:
    """Put a Go on the path that writes down its calls, and builds a Jaeger that only tells its version."""
    calls = tmp_path / "calls"
    jaeger = program(tmp_path / "jaeger", answering(jaegers.VERSION))
    program(
        tmp_path / "bin" / "go",
        f'echo "$1" >>{calls}; /bin/cp {jaeger} "$GOBIN/jaeger"',
    )
    return calls


def silent(text: str) -> None:
    pytest.fail(f"announced: {text}")


def test_a_machine_without_jaeger_and_go_says_what_was_tried(environ: dict[str, str]) -> None:
    assert str(obtain(environ, silent)) == "no Jaeger (no jaeger on the path; no go to build it with)"


def test_a_jaeger_on_the_path_is_taken(environ: dict[str, str], tmp_path: Path) -> None:
    found = program(tmp_path / "bin" / "jaeger", answering("v2.20.0"))
    assert obtain(environ, silent) == Program(str(found), "v2.20.0", "found on the path")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo jaeger, version 1.11", "is not Jaeger: JSONDecodeError"),
        ("exit 2", "is not Jaeger: JSONDecodeError"),
        ("echo '[]'", "is not Jaeger: TypeError"),
        ("echo '{}'", "is not Jaeger: KeyError"),
        (answering("v1.76.0"), "is Jaeger v1.76.0; v2 is needed"),
    ],
)
def test_another_program_of_that_name_is_left_alone(
    environ: dict[str, str], tmp_path: Path, script: str, expected: str
) -> None:
    program(tmp_path / "bin" / "jaeger", script)
    assert expected in obtain({**environ, "BATON_TEST_INSTALL": "0"}, silent).reason


@pytest.mark.usefixtures("go")
def test_a_jaeger_that_is_named_is_not_replaced(environ: dict[str, str], tmp_path: Path) -> None:
    named = program(tmp_path / "named", answering("v2.20.0"))
    assert obtain({**environ, "BATON_TEST_JAEGER": str(named)}, silent).how == "BATON_TEST_JAEGER"
    missing = obtain({**environ, "BATON_TEST_JAEGER": "/nowhere"}, silent)
    assert str(missing) == "no Jaeger (/nowhere (BATON_TEST_JAEGER) is not Jaeger: FileNotFoundError)"


def test_a_build_can_be_declined_and_what_was_built_is_used_all_the_same(environ: dict[str, str], go: Path) -> None:
    declined = {**environ, "BATON_TEST_INSTALL": "0"}
    assert "BATON_TEST_INSTALL declines to build it" in obtain(declined, silent).reason
    assert not go.exists()
    assert obtain(environ, lambda _: None).how == "built with Go"
    assert obtain(declined, silent).how == "built with Go"


def test_jaeger_is_built_once_for_all_who_ask_at_the_same_time(
    environ: dict[str, str], go: Path, tmp_path: Path
) -> None:
    announced: list[str] = []
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: obtain(environ, announced.append), range(4)))
    built = tmp_path / "cache" / "baton" / f"jaeger-{jaegers.VERSION}" / "jaeger"
    assert found == [Program(str(built), jaegers.VERSION, "built with Go")] * 4
    assert go.read_text().split() == ["install"]
    (line,) = announced
    assert "building Jaeger" in line
    assert "BATON_TEST_INSTALL=0 declines" in line


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("echo 'reading …: 403 Forbidden' >&2; exit 1", "go install failed: reading …: 403 Forbidden"),
        ('echo half >"$GOBIN/jaeger"; echo broken >&2; exit 1', "go install failed: broken"),
    ],
)
def test_a_build_that_fails_says_why_and_leaves_nothing(
    environ: dict[str, str], tmp_path: Path, script: str, expected: str
) -> None:
    program(tmp_path / "bin" / "go", script)
    assert expected in obtain(environ, lambda _: None).reason
    assert [path.name for path in jaegers.cache(environ).iterdir()] == ["lock"]


def test_a_session_looks_for_jaeger_once(environ: dict[str, str], tmp_path: Path) -> None:
    assert jaegers.chosen(tmp_path) is None
    first = shared(tmp_path, environ, silent)
    program(tmp_path / "bin" / "jaeger", answering("v2.20.0"))
    assert shared(tmp_path, environ, silent) == first == jaegers.chosen(tmp_path)
