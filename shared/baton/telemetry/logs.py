"""Log lines for programs: one JSON object each, with the run that it is about.

In: log records. Out: text for a handler. The run's id finds log, trace and journal.
"""

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal

from baton.telemetry import names
from baton.telemetry.current import current

TEXT = "%(asctime)s %(levelname)s %(message)s"


def formatter(log_format: Literal["text", "json"]) -> logging.Formatter:
    """Return what writes log lines as `BATON_LOG_FORMAT` says."""
    return JsonFormatter() if log_format == "json" else logging.Formatter(TEXT)


class JsonFormatter(logging.Formatter):
    """Writes a record as one line of JSON: when, how grave, by whom, what, and the hop in hand, if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return a record's line, without its end."""
        said: dict[str, Any] = {
            "time": _time(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_hop(),
        }
        if record.exc_info:
            said["exception"] = self.formatException(record.exc_info)
        if record.stack_info:
            said["stack"] = self.formatStack(record.stack_info)
        return json.dumps(said, ensure_ascii=False)


def _time(created: float) -> str:
    """Return Unix seconds as RFC 3339, in UTC, to the millisecond."""
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _hop() -> dict[str, str | int]:
    hop = current()
    if hop is None:
        return {}
    found: dict[str, str | int] = {
        names.LOG_RUN: hop.run_id,
        names.LOG_HOP: hop.seq,
        names.LOG_AGENT: hop.agent,
    }
    if hop.context is not None and hop.context.is_sampled:
        found |= {names.LOG_TRACE: hop.context.trace_id, names.LOG_SPAN: hop.context.span_id}
    return found
