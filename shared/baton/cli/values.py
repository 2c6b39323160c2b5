"""Values of options: durations with units, and facts.

In: what stands on the command line. Out: numbers of seconds, JSON objects.
"""

import re
from collections.abc import Sequence
from typing import Any

import typer

from baton import codec
from baton.errors import RequestError

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|min|h|d|)")
_UNIT_S = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}


def duration_s(text: str | float) -> float:
    """Return a duration in seconds; `90`, `90s`, `1.5m`, `2h`, `30d`.

    Args:
        text: What was given; a default is a number of seconds already.

    Raises:
        typer.BadParameter: It is none.
    """
    if isinstance(text, float):
        return text
    found = _DURATION.fullmatch(text.strip())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration; write 90, 90s, 5m, 2h or 30d")
    return float(found[1]) * _UNIT_S[found[2]]


def facts_of(given: Sequence[str]) -> dict[str, Any]:
    """Return the facts in `KEY=VALUE` (a string) and JSON objects; later ones win.

    Raises:
        RequestError: One is neither.
    """
    facts: dict[str, Any] = {}
    for text in given:
        facts |= _json(text) if text.lstrip().startswith("{") else _pair(text)
    return facts


def _json(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = codec.decode(text)
    except ValueError as error:
        raise RequestError(f"--facts {text!r} is no JSON: {error}", code="bad_facts", field="facts") from error
    return found


def _pair(text: str) -> dict[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise RequestError(f"--facts {text!r} is neither KEY=VALUE nor a JSON object", code="bad_facts", field="facts")
    return {key.strip(): value}
