"""The frames that are encoded by hand are the ones that pamqp writes and reads."""

import datetime as dt

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from baton.broker.rabbitmq import frames

NOW = dt.datetime(2026, 2, 3, 4, 5, 6, tzinfo=dt.UTC)
short = st.text(max_size=60)
shorts = st.none() | short
values = st.recursive(
    st.text(max_size=300)
    | st.booleans()
    | st.integers(-(2**31), 2**31 - 1)
    | st.floats(allow_nan=False, width=32)
    | st.none()
    | st.datetimes(min_value=dt.datetime(1980, 1, 1), timezones=st.just(dt.UTC)),  # noqa: DTZ001
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


def read(parts: bytes) -> list[object]:
    found = []
    while parts:
        used, channel, frame = pamqp.frame.unmarshal(parts)
        assert channel == 7
        found.append(frame)
        parts = parts[used:]
    return found


def header_of(properties: commands.Basic.Properties) -> bytes:
    """Return a content header as a client with pamqp sends it."""
    return ContentHeader(body_size=3, properties=properties).marshal()


@given(st.dictionaries(short, st.text(max_size=300), max_size=8), short, shorts, shorts)
def test_what_is_published_says_what_it_should(
    headers: dict[str, str], message_id: str, correlation_id: str | None, user_id: str | None
) -> None:
    form = frames.Form("baton.hop", app_id="baton", user_id=user_id, is_persistent=True)
    encoded = form.encode(message_id, correlation_id, headers, timestamp_s=int(NOW.timestamp()))
    method = frames.publish_method(7, "baton.work", "cards", is_mandatory=True)
    publish, header, body = read(method + b"".join(frames.content(7, encoded, b"body", frame_max_bytes=4096)))
    assert isinstance(publish, commands.Basic.Publish)
    assert (publish.exchange, publish.routing_key, publish.mandatory) == ("baton.work", "cards", True)
    assert isinstance(header, ContentHeader)
    expected = commands.Basic.Properties(
        content_type="application/json",
        headers=dict(headers),
        delivery_mode=2,
        correlation_id=correlation_id,
        message_id=message_id,
        timestamp=NOW,
        message_type="baton.hop",
        user_id=user_id,
        app_id="baton",
    )
    assert dict(header.properties) == dict(expected)
    assert isinstance(body, ContentBody)
    assert (header.body_size, body.value) == (4, b"body")


@given(
    st.dictionaries(st.text(max_size=30), values, max_size=6), shorts, shorts, shorts, shorts, st.none() | st.just(NOW)
)
def test_any_programs_properties_are_read(
    headers: dict[str, object],
    message_id: str | None,
    correlation_id: str | None,
    reply_to: str | None,
    user_id: str | None,
    timestamp: dt.datetime | None,
) -> None:
    sent = commands.Basic.Properties(
        content_type="text/plain" if timestamp else None,
        content_encoding=reply_to,
        headers=headers,  # type: ignore[arg-type]
        priority=3 if reply_to else None,
        correlation_id=correlation_id,
        reply_to=reply_to,
        expiration="60000" if timestamp else None,
        message_id=message_id,
        timestamp=timestamp,
        message_type=reply_to,
        user_id=user_id,
        app_id=message_id,
    )
    seen = frames.properties(header_of(sent))
    said = [name or None for name in (message_id, correlation_id, reply_to, user_id)]  # pamqp leaves out empty ones
    assert [seen.message_id, seen.correlation_id, seen.reply_to, seen.user_id] == said
    assert seen.headers == {name: value for name, value in headers.items() if isinstance(value, str)}


@given(st.binary(max_size=80), st.integers(0, 60))
def test_malformed_properties_are_no_error(noise: bytes, cut: int) -> None:
    good = header_of(commands.Basic.Properties(message_id="m", headers={"a": "b", "c": 1}, reply_to="r"))
    for header in (good[:cut], good[:12] + noise, good[:-3] + noise):
        assert isinstance(frames.properties(header), frames.Properties)


@pytest.mark.parametrize("size", [0, 1, 4087, 4088, 4089, 8176, 10_000])
def test_a_body_is_cut_into_frames_that_the_broker_takes(size: int) -> None:
    body = bytes(index % 251 for index in range(size))
    parts = b"".join(frames.content(7, b"\0\0", body, frame_max_bytes=4096))
    header, *chunks = read(parts)
    assert isinstance(header, ContentHeader)
    assert header.body_size == size
    assert all(isinstance(chunk, ContentBody) and 0 < len(chunk.value) <= 4096 - 8 for chunk in chunks)
    assert b"".join(chunk.value for chunk in chunks if isinstance(chunk, ContentBody)) == body


@pytest.mark.parametrize("is_multiple", [True, False])
def test_an_ack_names_its_tag(is_multiple: bool) -> None:
    [ack] = read(frames.ack(7, 2**40 + 1, is_multiple=is_multiple))
    assert isinstance(ack, commands.Basic.Ack)
    assert (ack.delivery_tag, ack.multiple) == (2**40 + 1, is_multiple)


def test_a_key_of_255_bytes_is_the_longest() -> None:
    assert read(frames.publish_method(7, "", "é" * 127, is_mandatory=False))
    with pytest.raises(ValueError, match="range"):
        frames.publish_method(7, "", "é" * 128, is_mandatory=False)
