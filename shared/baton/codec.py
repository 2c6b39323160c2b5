"""JSON in and out, and the rules that every value from outside has to pass.

In: values from users and bytes from the wire. Out: compact UTF-8 JSON bytes, or an error that
names the field, what was seen and what is allowed.
"""

import dataclasses
import hashlib
import json
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic_core import from_json, to_json, to_jsonable_python

from baton.errors import FactsError, RequestError

TEXT_LIMIT_BYTES = 256 * 1024
"""Longest request, reply or question, as UTF-8 (design: limits hold per item at entry)."""
ITEM_LIMIT_BYTES = 1024 * 1024
"""Longest answer, answer data or step result, as UTF-8 JSON."""
FACTS_LIMIT_BYTES = 64 * 1024
"""All facts of a conversation together, as UTF-8 JSON."""

KEY_LIMIT_BYTES = 255
"""Longest idempotency key or batch name, as UTF-8; what AMQP can carry."""
DEPTH_LIMIT = 192
"""Deepest nesting of a value; readers stop at 200, and an envelope adds levels of its own."""
_ENVELOPE_DEPTH = 200 - DEPTH_LIMIT
_OPENING, _CLOSING = b"[" * _ENVELOPE_DEPTH, b"]" * _ENVELOPE_DEPTH

Json: TypeAlias = Any
"""A JSON value; spelled out nowhere, since a recursive type helps no reader here."""


def encode(value: object) -> bytes:
    """Return `value` as compact JSON bytes; models and dataclasses by their fields."""
    return to_json(value)


def decode(body: bytes | str) -> Json:
    """Return the JSON value in `body`.

    Raises:
        ValueError: It is no JSON.
    """
    return from_json(body, allow_inf_nan=False)


def plain(value: object) -> Json:
    """Return `value` as it will look when it has been through JSON: lists, not tuples; str keys.

    Raises:
        ValueError: It has no JSON form, or none that every reader takes.
    """
    try:
        body = to_json(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {str(error).splitlines()[0]}") from error
    try:
        found = from_json(_OPENING + body + _CLOSING, allow_inf_nan=False)
    except ValueError as error:
        raise ValueError(
            f"not JSON that every reader takes: no NaN, no infinity, no number over 4,300 digits, "
            f"at most {DEPTH_LIMIT} levels"
        ) from error
    for _ in range(_ENVELOPE_DEPTH):
        found = found[0]
    return found


def digest(*parts: bytes) -> str:
    """Return the sha256 of the parts in a row, as 64 hex digits."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part)
    return sha.hexdigest()


def fingerprint(value: object) -> str:
    """Return a sha256 that is equal for equal JSON values, whatever the order of their keys.

    What has no JSON form counts by its type only, so that it is the same in every process.
    """
    if isinstance(value, list) and all(type(one) in _SCALARS for one in value):
        return digest(encode(value))
    try:
        shown = json.dumps(_stable(value), sort_keys=True, separators=(",", ":"))
    except RecursionError:
        shown = f"<{type(value).__qualname__}>"
    return digest(shown.encode())


def checked_text(text: object, *, field: str = "text", limit_bytes: int = TEXT_LIMIT_BYTES) -> str:
    """Return `text` if it is a text that Baton takes.

    Raises:
        RequestError: It is no string, empty, too long, no valid Unicode, or holds U+0000.
    """
    if not isinstance(text, str):
        raise _bad(f"{field} is {type(text).__name__}; it has to be a string", field)
    if not text.strip():
        raise _bad(f"{field} is empty; it needs at least one visible character", field)
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError as error:
        raise _bad(f"{field} has a lone surrogate at {error.start}; it has to be UTF-8", field) from error
    if size_bytes > limit_bytes:
        raise _bad(f"{field} has {size_bytes} bytes; at most {limit_bytes} are allowed", field)
    if "\0" in text:
        raise _bad(f"{field} has U+0000 at {text.index(chr(0))}; any other character is allowed", field)
    return text


def checked_key(key: str | None, *, field: str) -> str | None:
    """Return a key or name that a client chose, if it is one that can be stored and carried.

    Raises:
        RequestError: It is empty, too long, no valid Unicode, or holds U+0000.
    """
    return None if key is None else checked_text(key, field=field, limit_bytes=KEY_LIMIT_BYTES)


def checked_seconds(seconds: object, *, field: str) -> None:
    """Refuse what is no length of time.

    Raises:
        RequestError: It is neither None nor a finite number above 0.
    """
    if seconds is None:
        return
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds < float("inf"):
        raise RequestError(
            f"{field} is {seconds!r}; a number of seconds above 0, or None", code="bad_field", field=field
        )


def checked_facts(facts: object) -> dict[str, Json]:
    """Return `facts` as plain JSON; a None value deletes its key when merged.

    Raises:
        FactsError: They are no object with string keys, or a value is no JSON.
    """
    if not isinstance(facts, dict):
        raise FactsError(f"facts are {type(facts).__name__}; they have to be an object of JSON values")
    for key in facts:
        if not isinstance(key, str) or not key:
            raise FactsError(f"facts have the key {key!r}; keys have to be strings that are not empty")
    checked: dict[str, Json] = {}
    for key, value in facts.items():
        try:
            checked[plain(key)] = plain(value)
        except ValueError as error:
            raise FactsError(f"facts[{key!r}] is {error}; allowed are JSON values") from error
    return checked


def merge_facts(base: dict[str, Json], change: dict[str, Json]) -> dict[str, Json]:
    """Return `base` with `change` over it: later wins, None deletes.

    Raises:
        FactsError: The result is larger than 64 KiB.
    """
    merged = {key: value for key, value in {**base, **change}.items() if value is not None}
    size_bytes = len(encode(merged))
    if size_bytes > FACTS_LIMIT_BYTES:
        raise FactsError(f"facts have {size_bytes} bytes; at most {FACTS_LIMIT_BYTES} are allowed")
    return merged


_SCALARS = frozenset({str, int, bool, type(None)})


def _bad(message: str, field: str) -> RequestError:
    return RequestError(message, code="invalid_text", field=field)


def _stable(value: object) -> Json:
    """Return a JSON form that is the same in every process; nothing that is read once is read."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_stable(one) for one in value]
    if isinstance(value, dict):
        return {key if isinstance(key, str) else repr(_stable(key)): _stable(one) for key, one in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_stable(one) for one in value), key=lambda one: json.dumps(one, sort_keys=True))
    if isinstance(value, BaseModel):
        return _stable(dict(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _stable(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if not hasattr(value, "__next__"):
        try:
            return to_jsonable_python(value)
        except ValueError:
            pass
    return f"<{type(value).__qualname__}>"
