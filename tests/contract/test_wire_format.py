"""The wire contract: today's code reads yesterday's bytes, and writes the same."""

import hashlib
import json

import pytest

from baton.envelope import SCHEMA, HopName, decode, restore, sealed_digest
from tests.support.wire import GOLDEN, GOLDEN_ENVELOPE, SCHEMAS, WIRE, schema


def test_the_golden_envelope_is_read_as_what_it_was() -> None:
    assert decode(GOLDEN.read_bytes()) == GOLDEN_ENVELOPE


def test_the_golden_envelope_is_still_written_byte_by_byte() -> None:
    body, digest = GOLDEN_ENVELOPE.wire()
    assert body == GOLDEN.read_bytes()
    assert sealed_digest(body) == digest == json.loads(body)["digest"]


def test_any_language_can_check_the_digest_of_an_envelope() -> None:
    body = GOLDEN.read_bytes()
    core, _, tail = body.rpartition(b',"digest":"')
    assert hashlib.sha256(core + b"}").hexdigest() == tail.removesuffix(b'"}').decode()


def test_the_golden_envelope_names_its_hop_and_version() -> None:
    body = GOLDEN.read_bytes()
    assert HopName.read(body) == (GOLDEN_ENVELOPE.run_id, 3)
    assert json.loads(body)["schema"] == SCHEMA == "1.0"


def test_an_envelope_rebuilt_from_the_journal_equals_the_one_on_the_wire() -> None:
    rebuilt = restore(GOLDEN_ENVELOPE.head(), GOLDEN_ENVELOPE.text, GOLDEN_ENVELOPE.messages)
    assert rebuilt == decode(GOLDEN.read_bytes())
    assert rebuilt.wire() == GOLDEN_ENVELOPE.wire()


@pytest.mark.parametrize("name", WIRE)
def test_the_json_schema_that_is_published_is_current(name: str) -> None:
    published = (SCHEMAS / f"{name}.json").read_text(encoding="utf-8")
    assert published == schema(name), "run `python -m tests.support.wire`, and say why in CHANGELOG.md"


def test_the_schema_of_an_envelope_knows_every_member_of_the_golden_one() -> None:
    members = json.loads(GOLDEN.read_bytes()).keys() - {"digest"}
    known = json.loads((SCHEMAS / "envelope.v1.json").read_text(encoding="utf-8"))["$defs"]["Envelope"]["properties"]
    assert members <= known.keys()
