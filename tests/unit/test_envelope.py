"""Envelopes: whole or not, of this version or not, and the same whether read from the wire or the journal."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from baton.envelope import (
    Envelope,
    HopName,
    Message,
    decode,
    reference,
    restore,
    seal,
    sealed_digest,
)
from baton.errors import EnvelopeDecodeError, EnvelopeVersionError
from baton.testing.builders import make_envelope

RUN_ID = "0192f3c4d5e6" + "7" * 20
HEADERS = {"baton-schema": "1.0", "baton-run": RUN_ID, "baton-seq": "3"}


def body(**changes: Any) -> bytes:
    fields = json.loads(make_envelope(run_id=RUN_ID, seq=3).wire()[0])
    return json.dumps({key: value for key, value in {**fields, **changes}.items() if value is not ...}).encode()


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values = st.none() | st.booleans() | st.integers() | texts | st.lists(texts, max_size=2)
messages = st.builds(
    Message,
    position=st.integers(0, 9),
    role=st.sampled_from(["user", "agent", "person"]),
    name=st.none() | texts,
    text=texts,
    data=values,
)
envelopes = st.builds(
    make_envelope,
    texts,
    reason=texts,
    summary=st.none() | texts,
    facts=st.dictionaries(texts, values, max_size=3),
    reply=st.none() | texts,
    messages=st.lists(messages, max_size=3).map(tuple),
    shift=st.lists(st.tuples(texts, st.floats(0, 1)), max_size=2).map(tuple),
)


@settings(max_examples=50)
@given(envelopes)
def test_what_is_written_is_read_back(envelope: Envelope) -> None:
    wire, digest = envelope.wire()
    assert decode(wire) == envelope
    assert sealed_digest(wire) == digest
    assert restore(envelope.head(), envelope.text, envelope.messages) == envelope


def test_a_head_holds_all_but_the_texts() -> None:
    envelope = make_envelope("secret words", summary="kept", facts={"a": 1})
    head = json.loads(envelope.head())
    assert head.keys().isdisjoint({"text", "messages", "digest"})
    assert (head["summary"], head["facts"], head["from"]) == ("kept", {"a": 1}, "router")
    assert b"secret words" not in envelope.head()
    assert envelope.wire(envelope.head()) == envelope.wire()


@pytest.mark.parametrize("place", [1, 100, -3, -70, -80])
def test_a_body_that_was_changed_anywhere_is_not_whole(place: int) -> None:
    wire = bytearray(make_envelope().wire()[0])
    wire[place] ^= 1
    assert sealed_digest(bytes(wire)) is None


@pytest.mark.parametrize("cut", [b"", b"{}", b'{"digest":"x"}', b"\xff" * 200, b"x" * 76])
def test_what_has_no_digest_is_not_whole(cut: bytes) -> None:
    assert sealed_digest(cut) is None
    assert sealed_digest(make_envelope().wire()[0][:-1]) is None


def test_a_digest_is_the_last_member_and_covers_all_before_it() -> None:
    sealed, digest = seal(b'{"a":1}')
    assert sealed == b'{"a":1,"digest":"' + digest.encode() + b'"}'
    assert sealed_digest(sealed) == digest
    assert len(digest) == 64


def test_the_requests_text_is_that_of_its_message_where_it_crossed() -> None:
    said = (Message(position=4, role="user", text="the request"),)
    assert (
        Envelope.model_validate(
            {**json.loads(body(text=None, messages=[])), "messages": said, "text_position": 4}
        ).request_text
        == "the request"
    )
    assert make_envelope("given", messages=said).request_text == "given"
    empty = make_envelope().model_copy(update={"messages": (), "text": None})
    assert empty.request_text == ""


@pytest.mark.parametrize(
    ("spans", "log_length", "expected"),
    [(((0, 3),), 3, True), (((0, 2),), 3, False), (((1, 3),), 3, False), ((), 0, False), (((0, 1), (1, 3)), 3, False)],
)
def test_a_whole_log_is_one_range_from_the_first_to_the_last(spans: Any, log_length: int, expected: bool) -> None:
    assert make_envelope(spans=spans, log_length=log_length).has_whole_log is expected


@pytest.mark.parametrize("version", ["1.0", "1", "1.1", "1.99"])
def test_every_minor_of_a_known_major_is_read_and_unknown_fields_are_ignored(version: str) -> None:
    envelope = decode(body(schema=version, new_field={"x": 1}, budget={"max_hops": 2, "hops_left": 1, "euros": 3}))
    assert (envelope.schema_version, envelope.budget.hops_left) == (version, 1)
    assert HopName.read(body(schema=version)) == (RUN_ID, 3)


@pytest.mark.parametrize("version", ["2.0", "0.9", "10.0", "", "x", "1x", "-1.0", "²", " 1.0", ".1"])
def test_an_unknown_major_is_told_as_that(version: str) -> None:
    for read in (lambda: decode(body(schema=version)), lambda: HopName.read(body(schema=version))):
        with pytest.raises(EnvelopeVersionError, match="this reader knows 1.x") as caught:
            read()
        assert caught.value.found == version


def test_a_newer_major_is_told_as_that_even_where_it_looks_quite_different() -> None:
    with pytest.raises(EnvelopeVersionError):
        decode(body(schema="2.0", budget=..., kind="dance", messages="none"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "body: Invalid JSON"),
        (b"\xff\xfe", "body: Invalid JSON"),
        (b"[" * 100_000, "body: Invalid JSON"),
        (b"null", "body: Input should be an object"),
        (b'"text"', "body: Input should be an object"),
        (b"{}", "schema: Field required"),
        (body(run_id=...), "run_id: Field required"),
        (body(seq=-1), "seq: Input should be greater"),
        (body(seq="three"), "seq: Input should be a valid integer"),
    ],
)
def test_what_is_no_envelope_is_refused_with_the_place(content: bytes, told: str) -> None:
    for read in (HopName.read, decode):
        with pytest.raises(EnvelopeDecodeError, match=f"no envelope: {told}"):
            read(content)


@pytest.mark.parametrize(
    "changes",
    [
        {"budget": ...},
        {"kind": "dance"},
        {"facts": []},
        {"spans": [[1]]},
        {"agent": ...},
        {"messages": [{"role": "user"}]},
    ],
)
def test_a_hop_can_be_named_where_its_context_cannot_be_read(changes: dict[str, Any]) -> None:
    assert HopName.read(body(**changes)) == (RUN_ID, 3)
    with pytest.raises(EnvelopeDecodeError, match="no envelope: "):
        decode(body(**changes))


@pytest.mark.parametrize("run_id", ["", "x", RUN_ID.upper(), RUN_ID + "0", RUN_ID[:-1] + "g", RUN_ID + "\n", 7])
def test_a_run_id_is_32_lower_case_hex_digits(run_id: Any) -> None:
    with pytest.raises(EnvelopeDecodeError):
        HopName.read(body(run_id=run_id))
    assert HopName.of({**HEADERS, "baton-run": str(run_id)}, body()) == (RUN_ID, 3)


def test_a_hop_is_named_by_headers_without_reading_the_body() -> None:
    assert HopName.of(HEADERS, b"no json at all") == (RUN_ID, 3)
    with pytest.raises(EnvelopeVersionError):
        HopName.of({**HEADERS, "baton-schema": "2.0"}, b"")


@pytest.mark.parametrize("name", HEADERS)
@pytest.mark.parametrize("value", [None, "", "²", "-1", "1" * 40])
def test_headers_that_lack_or_spoil_something_leave_it_to_the_body(name: str, value: str | None) -> None:
    headers = {key: (value if key == name else old) for key, old in HEADERS.items()}
    given = {key: old for key, old in headers.items() if old is not None}
    if name == "baton-schema" and value is not None:
        with pytest.raises(EnvelopeVersionError):
            HopName.of(given, body())
    else:
        assert HopName.of(given, body()) == (RUN_ID, 3)


def test_a_reference_names_the_hop_and_nothing_else() -> None:
    found = reference(RUN_ID, 3, "cards")
    assert HopName.read(found) == (RUN_ID, 3)
    assert sealed_digest(found)
    assert json.loads(found).keys() == {"schema", "run_id", "seq", "agent", "by_reference", "digest"}
    with pytest.raises(EnvelopeDecodeError):
        decode(found)


def test_an_envelope_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        make_envelope().agent = "other"  # type: ignore[misc]
