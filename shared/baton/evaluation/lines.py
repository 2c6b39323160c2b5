"""Files of JSON lines, as evaluations read them: all that is malformed is named at once, by its line.

In: a path, and what makes a value of one object. Out: the values in the order of the lines.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from baton import codec
from baton.errors import ConfigError

T = TypeVar("T")
Fields = dict[str, Any]


class BadLineError(ValueError):
    """A line is not what the file should hold; the message says in what."""


_SHOWN_CHARS = 80
PROBLEMS_SHOWN = 10
"""Bad lines that are told; of a file of another kind every line is bad."""
_BOM = b"\xef\xbb\xbf"


def read(path: str, parse: Callable[[int, Fields], T], *, allowed: str) -> list[T]:
    """Return what `parse` makes of each line that is not blank; at least one.

    Args:
        path: A file of JSON objects, one a line, in UTF-8.
        parse: Takes a line's number, from 1, and its object; raises BadLineError with what is wrong with it.
        allowed: What a line may be, told beside each bad one.

    Raises:
        ConfigError: The file cannot be read, has no line, or has bad ones.
    """
    values: list[T] = []
    problems: list[str] = []
    for number, line in enumerate(bytes_of(path).removeprefix(_BOM).split(b"\n"), 1):
        if not line.strip():
            continue
        try:
            values.append(parse(number, _object(line)))
        except BadLineError as error:
            problems.append(f"{path!r} line {number}: {error}; allowed is {allowed}")
    if problems:
        raise ConfigError(some(problems))
    if not values:
        raise ConfigError(f"{path!r} has no line; allowed is {allowed}, one a line")
    return values


def bytes_of(path: str) -> bytes:
    """Return what is in a file.

    Raises:
        ConfigError: It cannot be read.
    """
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path!r} cannot be read: {error.strerror}") from error


def brief(value: object) -> str:
    """Return what was seen, as much of it as a message needs."""
    shown = repr(value)
    return shown if len(shown) <= _SHOWN_CHARS else f"{shown[:_SHOWN_CHARS]}…"


def some(problems: list[str]) -> list[str]:
    """Return the first problems, and how many more there are."""
    more = len(problems) - PROBLEMS_SHOWN
    return [*problems[:PROBLEMS_SHOWN], *([f"and {more:,} more"] if more > 0 else [])]


def text_in(fields: Fields, name: str) -> str | None:
    """Return a field that is a text with something in it; None where it is missing or null.

    Raises:
        BadLineError: It is something else.
    """
    value = fields.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip():
        raise BadLineError(f"{name!r} is {brief(value)}")
    return value


def needed_text(fields: Fields, name: str) -> str:
    """Return a field that must be a text with something in it.

    Raises:
        BadLineError: It is missing or something else.
    """
    value = text_in(fields, name)
    if value is None:
        raise BadLineError(f"no {name!r}")
    return value


def texts_in(fields: Fields, name: str) -> tuple[str, ...]:
    """Return a field that is a list of texts; none where it is missing or null.

    Raises:
        BadLineError: It is something else.
    """
    value = fields.get(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadLineError(f"{name!r} is no list of texts")
    return tuple(item for item in value if item.strip())


def _object(line: bytes) -> Fields:
    try:
        found = codec.decode(line.decode())
    except UnicodeDecodeError as error:
        raise BadLineError(f"no UTF-8, byte {error.start} of the line is bad") from error
    except ValueError as error:
        raise BadLineError("no JSON, " + str(error).replace(" at line 1 column", " at column")) from error
    if not isinstance(found, dict):
        raise BadLineError(f"a JSON {type(found).__name__}")
    return found
