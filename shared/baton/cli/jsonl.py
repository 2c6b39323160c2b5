"""Requests from a file, one JSON object a line: what is malformed is named, the others go on.

In: a path, or `-` for standard input. Out: objects with their line numbers, and the bad lines.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from baton import codec
from baton.errors import RequestError

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file of requests."""

    number: int
    """Counted from 1."""
    fields: dict[str, Any]


@dataclass(frozen=True, slots=True)
class BadLine:
    """One line of which no request can be made."""

    number: int
    reason: str

    def __str__(self) -> str:
        return f"line {self.number}: {self.reason}"


def read(path: str) -> Iterator[Line | BadLine]:
    """Yield each line of a file that is not blank.

    Raises:
        RequestError: The file cannot be read.
    """
    for number, line in enumerate(_bytes_of(path).removeprefix(_BOM).split(b"\n"), 1):
        if line.strip():
            yield _parsed(number, line)


def read_text(path: str) -> str:
    """Return the text of a file, without the line breaks at its end.

    Raises:
        RequestError: It cannot be read, or is no UTF-8.
    """
    try:
        return _bytes_of(path).removeprefix(_BOM).decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise RequestError(f"{_shown(path)} is no UTF-8: byte {error.start} is bad", code="bad_encoding") from error


def _bytes_of(path: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise RequestError(f"{_shown(path)} cannot be read: {error.strerror}", code="bad_file") from error


def _parsed(number: int, line: bytes) -> Line | BadLine:
    try:
        found = codec.decode(line.decode())
    except UnicodeDecodeError as error:
        return BadLine(number, f"no UTF-8: byte {error.start} of the line is bad")
    except ValueError as error:
        return BadLine(number, "no JSON: " + str(error).replace(" at line 1 column", " at column"))
    if not isinstance(found, dict):
        return BadLine(number, f"a request is a JSON object; seen: {type(found).__name__}")
    return Line(number, found)


def _shown(path: str) -> str:
    return "standard input" if path == "-" else repr(path)
