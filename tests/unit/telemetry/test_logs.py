"""Log lines in JSON: one object each, and the run that it is about."""

import contextlib
import io
import json
import logging
import sqlite3
import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from baton import Answer, PermanentError, Turn
from baton.propagation import TraceContext
from baton.telemetry import current, logs
from baton.telemetry.current import Current
from baton.testing import serve
from tests.support.teams import a_team, an_agent
from tests.support.waiting import until

TRACE = TraceContext("ab" * 16, "cd" * 8)


class Lines:
    """A logger's lines, read as JSON."""

    def __init__(self, name: str = "") -> None:
        self._text = io.StringIO()
        self.handler = logging.StreamHandler(self._text)
        self.handler.setFormatter(logs.formatter("json"))
        self.logger = logging.getLogger(name or "baton.test")

    @property
    def text(self) -> str:
        return self._text.getvalue()

    @property
    def all(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]


@pytest.fixture
def lines(request: pytest.FixtureRequest) -> Iterator[Lines]:
    """Listen to a logger: that of this test, or one that it names."""
    found = Lines(getattr(request, "param", ""))
    level = found.logger.level
    found.logger.addHandler(found.handler)
    found.logger.setLevel(logging.DEBUG)
    yield found
    found.logger.removeHandler(found.handler)
    found.logger.setLevel(level)


baton = pytest.mark.parametrize("lines", ["baton"], indirect=True)


def test_a_line_says_when_how_grave_by_whom_and_what(lines: Lines) -> None:
    lines.logger.warning("left to the poll: %s", "größer ✓")
    (line,) = lines.all
    assert line.keys() == {"time", "level", "logger", "message"}
    assert (line["level"], line["logger"], line["message"]) == ("WARNING", "baton.test", "left to the poll: größer ✓")
    assert "größer ✓" in lines.text
    assert line["time"].endswith("Z")
    assert len(line["time"]) == len("2025-11-23T18:00:00.123Z")
    assert datetime.fromisoformat(line["time"]).tzinfo is not None


def test_an_exception_stays_in_its_line(lines: Lines) -> None:
    try:
        int("two\nlines")
    except ValueError:
        lines.logger.exception("it broke")
    (line,) = lines.all
    assert line["message"] == "it broke"
    assert line["exception"].startswith("Traceback (most recent call last):\n")
    assert line["exception"].endswith("ValueError: invalid literal for int() with base 10: 'two\\nlines'")


def test_a_hop_in_hand_is_named(lines: Lines) -> None:
    with current.entered(Current("f0" * 16, 2, "cards", TRACE)):
        lines.logger.info("inside")
    with current.entered(Current("f0" * 16, 3, "cards")):
        lines.logger.info("not traced")
    lines.logger.info("outside")
    inside, untraced, outside = lines.all
    assert (inside["run_id"], inside["hop"], inside["agent"]) == ("f0" * 16, 2, "cards")
    assert (inside["trace_id"], inside["span_id"]) == ("ab" * 16, "cd" * 8)
    assert untraced["hop"] == 3
    assert not untraced.keys() & {"trace_id", "span_id"}
    assert not outside.keys() & {"run_id", "trace_id", "span_id", "hop", "agent"}


def test_text_stays_as_it_was() -> None:
    record = logging.LogRecord("baton", logging.WARNING, "x.py", 1, "said %d", (1,), None)
    assert logs.formatter("text").format(record).endswith(" WARNING said 1")


@baton
async def test_what_is_logged_around_a_turn_has_its_run_too(lines: Lines) -> None:
    def fails(turn: Turn) -> Answer:
        logging.getLogger("baton").info("in the turn")
        raise PermanentError("no luck")

    async with serve(a_team(agents=[an_agent("a", fails)])) as served:
        result = await served.send("hello")
        await until(lambda: any(line["message"] == "turn of a raised" for line in lines.all))
        spans = {span.name.split()[0]: span.context.span_id for span in served.spans if "a" in span.name.split(".")[-1]}
    said = {line["message"]: line for line in lines.all}
    for message in ("in the turn", "turn of a raised"):
        line = said[message]
        assert (line["run_id"], line["hop"], line["agent"]) == (result.run_id, 1, "a"), message
        assert line["trace_id"] == result.run_id
    assert said["in the turn"]["span_id"] in spans.values()
    assert "PermanentError: no luck" in said["turn of a raised"]["exception"]


@baton
async def test_a_hop_that_went_elsewhere_is_logged_with_its_run(lines: Lines) -> None:
    def robbed(turn: Turn) -> Answer:
        with contextlib.closing(sqlite3.connect(served.journal.path)) as file, file:
            file.execute("UPDATE hops SET token = token + 1 WHERE seq = 1")
        return Answer("too late")

    async with serve(a_team(agents=[an_agent("a", robbed)])) as served:
        run = await served.start("hello")
        line = await until(lambda: next((one for one in lines.all if one["message"].startswith("fenced")), None))
    assert (line["run_id"], line["hop"], line["agent"]) == (run.run_id, 1, "a")
    assert line["trace_id"] == run.run_id


@baton
async def test_a_hop_that_a_turn_sends_off_is_not_logged_as_the_turns(lines: Lines) -> None:
    inner: list[str] = []

    async def sends(turn: Turn) -> Answer:
        if turn.text == "outer":
            inner.append((await served.start("inner")).run_id)
            await served.client.result(inner[0])
        logging.getLogger("baton").info("turn %s", turn.text)
        return Answer("done")

    async with serve(a_team(agents=[an_agent("a", sends)])) as served:
        outer = await served.send("outer")
    said = {line["message"]: line for line in lines.all}
    assert said["turn outer"]["run_id"] == outer.run_id
    assert said["turn inner"]["run_id"] == inner[0]
    assert said["turn inner"]["hop"] == 1


def test_standard_error_takes_json_in_any_script(monkeypatch: pytest.MonkeyPatch) -> None:
    from baton.cli.opening import _log
    from baton.config import Settings

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii", errors="backslashreplace"))
    root = logging.getLogger()
    handlers, level, root.handlers = root.handlers, root.level, []
    try:
        _log(Settings(log_format="json"))
        logging.getLogger("baton").warning("größer \udc80")
    finally:
        root.handlers = handlers
        root.setLevel(level)
    sys.stderr.flush()
    assert "größer" in raw.getvalue().decode()
    assert json.loads(raw.getvalue())["message"] == "größer \udc80"
