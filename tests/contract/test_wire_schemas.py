"""The wire contract stays what other programs were written for: schemas, golden messages, the AsyncAPI document."""

import copy
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from baton import codec, request
from baton.request import Rejected, ResultMessage
from tests.support import asyncapi
from tests.support.schema_changes import breaks
from tests.support.wire import GOLDEN, SCHEMAS, WIRE

FROZEN = GOLDEN.parent / "schemas" / "1.0"


def golden(name: str) -> list[Any]:
    messages: list[Any] = json.loads((GOLDEN.parent / f"{name}.json").read_text(encoding="utf-8"))
    return messages


def loaded(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("message", golden("requests"), ids=json.dumps)
def test_a_golden_request_is_read_as_what_it_was(message: dict[str, Any]) -> None:
    read = request.read(json.dumps(message).encode())
    said = message.get("reply") or message.get("cancel") or message
    assert {name: value for name, value in read.model_dump().items() if name in said} == said


@pytest.mark.parametrize("message", golden("results"), ids=lambda one: one["status"])
def test_a_golden_result_is_still_written_so(message: dict[str, Any]) -> None:
    assert ResultMessage.model_validate(message).model_dump(mode="json") == message


@pytest.mark.parametrize("message", golden("rejections"), ids=lambda one: one["error"]["code"])
def test_a_golden_rejection_is_still_written_so(message: dict[str, Any]) -> None:
    assert Rejected.model_validate(message).model_dump(mode="json") == message


@pytest.mark.parametrize("name", WIRE)
def test_the_schema_fits_programs_that_were_written_for_version_1(name: str) -> None:
    is_read = WIRE[name].mode == "validation"
    problems = breaks(loaded(FROZEN / f"{name}.json"), loaded(SCHEMAS / f"{name}.json"), is_read=is_read)
    assert not problems, "that needs a new major version:\n" + "\n".join(problems)


Change = Callable[[dict[str, Any]], Any]


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("request", lambda defs: defs["Request"]["properties"].pop("facts"), "Request.facts is gone"),
        ("request", lambda defs: defs["Request"]["required"].append("to"), "Request.to is required now"),
        ("request", lambda defs: defs["Request"]["properties"]["max_hops"]["anyOf"].pop(), "may not be null any more"),
        (
            "request",
            lambda defs: defs["Request"]["properties"]["to"]["anyOf"][0].update(maxLength=47),
            "maxLength is 47 now, was 48",
        ),
        ("request", lambda defs: defs["Request"]["properties"]["text"].update(minLength=1), "minLength is 1 now"),
        ("request", lambda defs: defs["Request"]["properties"]["text"].update(pattern="^a"), "another pattern"),
        ("request", lambda defs: defs.pop("CancelMessage"), "CancelMessage is gone"),
        ("envelope.v1", lambda defs: defs["Budget"].update(additionalProperties=False), "takes no other fields now"),
        ("result", lambda defs: defs["ResultMessage"]["required"].remove("text"), "ResultMessage.text is promised no"),
        (
            "result",
            lambda defs: defs["ResultMessage"]["properties"]["run_id"].update(type="integer"),
            "ResultMessage.run_id may be integer now",
        ),
        ("result", lambda defs: defs["ResultMessage"]["properties"]["status"]["enum"].pop(), "may not be 'cancelled'"),
    ],
)
def test_a_change_that_breaks_others_is_told(name: str, change: Change, told: str) -> None:
    old = loaded(FROZEN / f"{name}.json")
    new = copy.deepcopy(old)
    change(new["$defs"])
    found = breaks(old, new, is_read=WIRE[name].mode == "validation")
    assert any(told in one for one in found), found


def test_what_adds_to_a_message_breaks_nobody() -> None:
    old = loaded(FROZEN / "request.json")
    new = copy.deepcopy(old)
    new["$defs"]["Request"]["properties"]["priority"] = {"type": "integer"}
    new["$defs"]["Request"]["properties"]["to"]["anyOf"][0]["maxLength"] = 100
    assert breaks(old, new, is_read=True) == []
    assert breaks(new, old, is_read=True) != []


def test_the_asyncapi_document_is_current() -> None:
    assert asyncapi.PUBLISHED.read_text(encoding="utf-8") == asyncapi.document(), "run `python -m tests.support.wire`"


def _refs(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield inner
            else:
                yield from _refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _refs(inner)


@pytest.mark.parametrize(
    "path", [asyncapi.PUBLISHED, *(SCHEMAS / f"{name}.json" for name in WIRE)], ids=lambda p: p.stem
)
def test_every_reference_leads_somewhere(path: Path) -> None:
    document = loaded(path)
    refs = set(_refs(document))
    assert refs
    for ref in refs:
        found = document
        for part in ref.removeprefix("#/").split("/"):
            found = found[part]
        assert found, ref


def test_the_asyncapi_document_has_the_parts_that_its_version_asks_for() -> None:
    document = loaded(asyncapi.PUBLISHED)
    assert document["asyncapi"] == "3.0.0"
    assert document["info"].keys() >= {"title", "version"}
    for operation in document["operations"].values():
        assert operation["action"] in ("send", "receive")
        channel = operation["channel"]["$ref"]
        assert all(one["$ref"].startswith(f"{channel}/messages/") for one in operation["messages"])
    for channel in document["channels"].values():
        parameters = set(channel.get("parameters", ()))
        assert parameters == ({"agent"} if "{" in (channel["address"] or "") else set())
        assert channel["messages"]


def test_a_body_within_the_limits_of_its_parts_is_never_too_large() -> None:
    parts_bytes = codec.TEXT_LIMIT_BYTES + codec.FACTS_LIMIT_BYTES + 4 * request.CONVERSATION_LIMIT + 1024
    escape_bytes = len("\\u0000")
    assert escape_bytes * parts_bytes < request.BODY_LIMIT_BYTES
