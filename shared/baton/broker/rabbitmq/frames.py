"""The few AMQP 0-9-1 frames that every message costs, encoded and decoded without objects in between.

In: routing keys, properties, bodies, delivery tags. Out: bytes for the socket, and back. All other
frames are aiormq's. `wire` reads and writes them.

Source:
    AMQP 0-9-1 §4.2 (frames), §4.2.5 (fields), §1.8 (basic); RabbitMQ's errata for the types of fields.
"""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
HEAD = struct.Struct(">BHI")
"""Type, channel and size of a frame."""
HEAD_BYTES = HEAD.size
FRAME_BYTES = HEAD_BYTES + 1
"""What a frame needs beside its payload."""
END = b"\xce"
END_BYTE = END[0]
HEARTBEAT_FRAME = HEAD.pack(HEARTBEAT, 0, 0) + END

DELIVER = b"\0\x3c\0\x3c"
RETURN = b"\0\x3c\0\x32"
ACK = b"\0\x3c\0\x50"
NACK = b"\0\x3c\0\x78"
OF_MESSAGES = {DELIVER, RETURN, ACK, NACK}
"""Methods that aiormq never sees."""
CANCEL = b"\0\x3c\0\x1e"
CHANNEL_CLOSE = b"\0\x14\0\x28"
CONNECTION_CLOSE = b"\0\x0a\0\x32"
BLOCKED = b"\0\x0a\0\x3c"
UNBLOCKED = b"\0\x0a\0\x3d"

TAG = struct.Struct(">Q")
_CODE = struct.Struct(">H")
_LENGTH = struct.Struct(">I")
_ACK = struct.Struct(">BHI4sQB1s")
_CONTENT = struct.Struct(">HHQ")
_BASIC = 60

_IN_ORDER = tuple(1 << bit for bit in range(15, 3, -1))
"""The properties' flags up to the last that is read, in the order of their values."""
_CONTENT_TYPE, _, _HEADERS, _DELIVERY_MODE, _PRIORITY, _CORRELATION_ID = _IN_ORDER[:6]
_REPLY_TO, _, _MESSAGE_ID, _TIMESTAMP, _TYPE, _USER_ID = _IN_ORDER[6:]
_APP_ID = 1 << 3
_FIXED = {_DELIVERY_MODE: 1, _PRIORITY: 1, _TIMESTAMP: 8}
"""Sizes of the properties that are no strings."""
_WANTED = {_MESSAGE_ID, _CORRELATION_ID, _REPLY_TO, _USER_ID}

_FIXED_BYTES = {ord("V"): 0, ord("D"): 5} | {
    ord(letter): size for size, letters in {1: "tbB", 2: "suU", 4: "Iif", 8: "lLdT"}.items() for letter in letters
}
"""Sizes of the field types that have one; the others begin with their length."""


class Properties(NamedTuple):
    """What a receiver needs of a message's properties."""

    message_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    user_id: str | None = None
    headers: Mapping[str, str] = {}
    """Those whose value is a string."""


class Form:
    """The properties that all messages of one kind share, encoded once.

    Args:
        kind: The property `type`.
        app_id: The property `app_id`.
        user_id: The connection's user, which the broker checks; None: not known on this side.
        is_persistent: True where the message has to survive the broker's restart.
    """

    def __init__(self, kind: str, *, app_id: str, user_id: str | None, is_persistent: bool) -> None:
        self._flags = _CONTENT_TYPE | _HEADERS | _DELIVERY_MODE | _MESSAGE_ID | _TIMESTAMP | _TYPE | _APP_ID
        if user_id is not None:
            self._flags |= _USER_ID
        self._content_type = _short("application/json")
        self._delivery_mode = b"\x02" if is_persistent else b"\x01"
        self._tail = _short(kind) + (b"" if user_id is None else _short(user_id)) + _short(app_id)

    def encode(
        self, message_id: str, correlation_id: str | None, headers: Mapping[str, str], *, timestamp_s: int
    ) -> bytes:
        """Return flags and values of a message's properties.

        Args:
            message_id: At most 255 bytes.
            correlation_id: At most 255 bytes.
            headers: Names of at most 255 bytes.
            timestamp_s: Seconds since 1970.

        Raises:
            ValueError: Something is longer than AMQP can say.
        """
        table = b"".join([_named(name) + _long(value.encode()) for name, value in headers.items()])
        flags, correlation = self._flags, b""
        if correlation_id is not None:
            flags, correlation = flags | _CORRELATION_ID, _short(correlation_id)
        return b"".join(
            (
                _CODE.pack(flags),
                self._content_type,
                _LENGTH.pack(len(table)),
                table,
                self._delivery_mode,
                correlation,
                _short(message_id),
                TAG.pack(timestamp_s),
                self._tail,
            )
        )


@lru_cache(maxsize=1024)
def publish_method(channel: int, exchange: str, routing_key: str, *, is_mandatory: bool) -> bytes:
    """Return the frame that begins a publish.

    Raises:
        ValueError: `routing_key` has over 255 bytes.
    """
    payload = b"\0\x3c\0\x28\0\0" + _short(exchange) + _short(routing_key) + bytes([is_mandatory])
    return HEAD.pack(METHOD, channel, len(payload)) + payload + END


def content(channel: int, properties: bytes, body: bytes, *, frame_max_bytes: int) -> list[bytes]:
    """Return the frames of a message's properties and body, in parts to be joined."""
    size, room = len(body), frame_max_bytes - FRAME_BYTES
    parts = [
        HEAD.pack(HEADER, channel, _CONTENT.size + len(properties)),
        _CONTENT.pack(_BASIC, 0, size),
        properties,
        END,
    ]
    if size <= room:
        if size:
            parts += (HEAD.pack(BODY, channel, size), body, END)
        return parts
    for start in range(0, size, room):
        part = body[start : start + room]
        parts += (HEAD.pack(BODY, channel, len(part)), part, END)
    return parts


def ack(channel: int, tag: int, *, is_multiple: bool) -> bytes:
    """Return the frame that settles one delivery, or all up to it."""
    return _ACK.pack(METHOD, channel, 13, ACK, tag, is_multiple, END)


def confirm(payload: bytes) -> tuple[int, bool]:
    """Return the tag that a confirm is about, and whether it is about all up to it."""
    return TAG.unpack_from(payload, 4)[0], bool(payload[12] & 1)


def body_size(header: bytes) -> int:
    """Return how many bytes follow a content header."""
    return int(_CONTENT.unpack_from(header)[2])


def reason(payload: bytes) -> tuple[int, str]:
    """Return code and text of a close, of a channel or of a connection."""
    return _CODE.unpack_from(payload, 4)[0], short_string(payload, 6)


def short_string(payload: bytes, at: int) -> str:
    """Return the string that begins at `at` with its length in one byte."""
    return payload[at + 1 : at + 1 + payload[at]].decode("utf-8", "replace")


def routing_key(route: bytes) -> str:
    """Return the key out of what a delivery says of its way: exchange, then key."""
    return short_string(route, 1 + route[0])


def properties(header: bytes) -> Properties:
    """Return what a content header says; nothing where it is malformed, since any program may send one."""
    try:
        return _properties(header)
    except (IndexError, struct.error, UnicodeDecodeError):
        return Properties()


def _properties(header: bytes) -> Properties:
    flags = _CODE.unpack_from(header, _CONTENT.size)[0]
    at = _CONTENT.size + _CODE.size
    headers: dict[str, str] = {}
    found: dict[int, str] = {}
    for flag in _IN_ORDER:
        if not flags & flag:
            continue
        if flag == _HEADERS:
            start = at + 4
            at = start + _LENGTH.unpack_from(header, at)[0]
            headers = _strings(header[start:at])
        elif flag in _FIXED:
            at += _FIXED[flag]
        else:
            start = at + 1
            at = start + header[at]
            if flag in _WANTED:
                found[flag] = header[start:at].decode()
    return Properties(
        found.get(_MESSAGE_ID), found.get(_CORRELATION_ID), found.get(_REPLY_TO), found.get(_USER_ID), headers
    )


def _strings(table: bytes) -> dict[str, str]:
    """Return the fields of a table that are strings."""
    found = {}
    at, end = 0, len(table)
    while at < end:
        start = at + 1 + table[at]
        name, kind = table[at + 1 : start].decode(), table[start]
        at = start + 1
        if kind in _FIXED_BYTES:
            at += _FIXED_BYTES[kind]
            continue
        size = _LENGTH.unpack_from(table, at)[0]
        at += 4 + size
        if kind == ord("S"):
            found[name] = table[at - size : at].decode()
    return found


@lru_cache(maxsize=1024)
def _named(name: str) -> bytes:
    """Return the beginning of a field that is a string."""
    return _short(name) + b"S"


def _short(text: str) -> bytes:
    encoded = text.encode()
    return bytes((len(encoded),)) + encoded


def _long(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value
