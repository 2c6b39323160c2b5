"""What a raw message asks of the journal."""

from typing import Any

import pytest

from baton import Settings, ingress
from baton.errors import RequestError
from baton.ingress import Raw
from baton.journal.messages import Quarantined
from baton.journal.records import Accept, Cancel, Reply

SETTINGS = Settings(tenant="house", max_hops=5)
ORIGIN: dict[str, Any] = {"message_id": "k", "reply_to": "q", "correlation_id": "x", "user_id": "bank"}


CALLER = f"00-{'a' * 32}-{'b' * 16}-01"


def test_a_text_becomes_a_request_of_the_user_that_the_broker_checked() -> None:
    raw = Raw(b'{"text": "hi", "to": "cards"}', headers={"traceparent": CALLER, "tracestate": "s=1"}, **ORIGIN)
    wanted = ingress.command(raw, SETTINGS)
    assert isinstance(wanted, Accept)
    assert (wanted.request.text, wanted.request.to, wanted.tenant, wanted.max_hops) == ("hi", "cards", "bank", 5)
    assert (wanted.key, wanted.reply_to, wanted.correlation_id) == ("k", "q", "x")
    assert (wanted.traceparent, wanted.tracestate, wanted.caller) == (None, None, CALLER)
    assert wanted.redelivery_key is None


def test_without_a_user_the_tenant_is_that_of_the_settings() -> None:
    wanted = ingress.command(Raw(b'{"text": "hi"}'), SETTINGS)
    assert isinstance(wanted, Accept)
    assert wanted.tenant == "house"


def test_a_reply_and_a_cancel_carry_their_origin_too() -> None:
    reply = ingress.command(Raw(b'{"reply": {"run_id": "r", "wait_id": "w", "text": "blue"}}', **ORIGIN), SETTINGS)
    assert isinstance(reply, Reply)
    assert (reply.run_id, reply.wait_id, reply.text, reply.tenant, reply.key) == ("r", "w", "blue", "bank", "k")
    cancel = ingress.command(Raw(b'{"cancel": {"run_id": "r", "reason": "no need"}}', **ORIGIN), SETTINGS)
    assert isinstance(cancel, Cancel)
    assert (cancel.run_id, cancel.reason, cancel.tenant, cancel.reply_to) == ("r", "no need", "bank", "q")


def test_without_a_key_body_and_addresses_tell_a_repetition() -> None:
    def hash_of(body: bytes = b'{"text": "hi"}', **changes: Any) -> str | None:
        return ingress.command(Raw(body, **{**ORIGIN, "message_id": None, **changes}), SETTINGS).redelivery_key

    assert hash_of() == hash_of(is_redelivered=True) is not None
    others = [hash_of(b'{"text":"hi"}'), hash_of(reply_to="other"), hash_of(correlation_id="other")]
    assert len({hash_of(), *others}) == 4


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"reply_to": "baton.requests"}, "bad_field", "reply_to"),
        ({"message_id": "a\0"}, "invalid_text", "message_id"),
        ({"correlation_id": " "}, "invalid_text", "correlation_id"),
        ({"reply_to": "\0"}, "invalid_text", "reply_to"),
    ],
)
def test_a_property_that_cannot_be_taken_is_named(changes: dict[str, Any], code: str, field: str) -> None:
    with pytest.raises(RequestError) as raised:
        ingress.command(Raw(b'{"text": "hi"}', **{**ORIGIN, **changes}), SETTINGS)
    assert (raised.value.code, raised.value.field) == (code, field)


def test_what_is_kept_can_be_taken_again_as_it_came() -> None:
    raw = Raw(b'{"txt": "hi"}', headers={"traceparent": "t"}, **ORIGIN)
    assert Raw.from_quarantine(raw.kept("unknown field")) == raw
    bare = Raw(b"{}")
    assert Raw.from_quarantine(bare.kept("no text")) == bare
    with pytest.raises(RequestError, match=r"a message of 'baton\.dead' cannot be taken again"):
        Raw.from_quarantine(Quarantined("baton.dead", b"", "x"))
