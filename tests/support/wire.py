"""The envelope of the golden file, and the JSON Schemas of what crosses the wire.

Run `python -m tests.support.wire` to write both anew, and the AsyncAPI document; a change to any is a change of
the contract.
"""

import ast
import inspect
import json
import textwrap
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from baton.envelope import Budget, Envelope, Guard, Message, TrailEntry
from baton.request import CancelRequest, Rejected, ReplyRequest, Request, ResultMessage

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "contract" / "golden" / "envelope.v1.json"
SCHEMAS = ROOT / "docs" / "schemas"


class Wire(NamedTuple):
    """What is published as one schema."""

    title: str
    models: tuple[type[BaseModel], ...]
    """A message is one of these."""
    mode: Literal["validation", "serialization"]
    """Whether the schema says what is read, or what is written."""


WIRE = {
    "request": Wire("What `baton.requests` takes", (Request, ReplyRequest, CancelRequest), "validation"),
    "result": Wire("What comes to `reply_to` when a run ended or asks", (ResultMessage,), "serialization"),
    "rejected": Wire("What comes to `reply_to` when a message was not taken", (Rejected,), "serialization"),
    "envelope.v1": Wire("What travels on an agent's queue", (Envelope,), "validation"),
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"

GOLDEN_ENVELOPE = Envelope(
    run_id="0192f3c4d5e60123456789abcdef0123",
    conversation_id="conversation-1",
    tenant="bank",
    seq=3,
    agent="disputes",
    from_agent="cards",
    kind="handoff",
    skill=None,
    reason="a payment the customer does not know: 12,50 € “Kiosk”",
    summary="the card is frozen",
    facts={"card": "frozen", "customer": 7, "limits": {"day": 500.5}, "tags": ["stolen", None, True], "nul": "\u0000"},
    trail=(
        TrailEntry(seq=0, agent="router", did="classified", to="cards", reason="lost card (81%)", progress=1),
        TrailEntry(seq=1, agent="cards", did="ask", to="cards", reason="which card?", progress=1),
        TrailEntry(seq=2, agent="cards", did="handoff", to="disputes", reason="unknown payment", progress=3),
    ),
    budget=Budget(max_hops=16, hops_left=14, deadline_left_s=86.5, tokens_left=9000, cost_left=0.25),
    guard=Guard(progress=3, seen=("00112233445566ff", "8899aabbccddeeff")),
    reply=None,
    shift=(("payments", 0.4375),),
    text_position=0,
    log_length=4,
    spans=((1, 3),),
    text="my card was stolen \U0001f4b3",
    messages=(
        Message(position=1, role="agent", name="cards", text="which card?", data={"options": ["visa", "amex"]}),
        Message(position=2, role="user", text="the visa one"),
    ),
)


def schema(name: str) -> str:
    """Return the JSON Schema of one kind of message, as the file holds it."""
    wire = WIRE[name]
    refs, definitions = definitions_of([wire], ref="#/$defs/{model}")
    found: dict[str, Any] = {"$schema": DIALECT, "title": wire.title, **one_of(refs), "$defs": definitions}
    return json.dumps(found, indent=2) + "\n"


def one_of(refs: list[str]) -> dict[str, Any]:
    """Return the schema of what is one of these."""
    return {"$ref": refs[0]} if len(refs) == 1 else {"anyOf": [{"$ref": ref} for ref in refs]}


def definitions_of(wires: list[Wire], *, ref: str) -> tuple[list[str], dict[str, Any]]:
    """Return references to the models of some messages, in order, and all that they refer to, told in words."""
    wanted = [(model, wire.mode) for wire in wires for model in wire.models]
    refs, found = models_json_schema(wanted, by_alias=True, ref_template=ref)
    definitions: dict[str, Any] = found["$defs"]
    written = {member for one, mode in wanted if mode == "serialization" for member in _members(one)}
    for model in {member for one, _ in wanted for member in _members(one)}:
        if model in written:  # with all its fields, whether they have defaults or not
            definitions[model.__name__]["required"] = list(definitions[model.__name__]["properties"])
        for name, told in _told(model).items():
            alias = model.model_fields[name].alias or name if name in model.model_fields else name
            if alias in (properties := definitions[model.__name__].get("properties", {})):
                properties[alias]["description"] = told
    return [refs[one]["$ref"] for one in wanted], definitions


def _members(model: type[BaseModel]) -> set[type[BaseModel]]:
    """Return a model and all that it is made of."""
    found = {model}
    for field in model.model_fields.values():
        inner = [field.annotation]
        while inner:
            one: Any = inner.pop()
            inner += getattr(one, "__args__", ())
            if isinstance(one, type) and issubclass(one, BaseModel):
                found |= _members(one)
    return found


def _told(model: type[BaseModel]) -> dict[str, str]:
    """Return what the source says below each field of a model."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(model))).body
    assert isinstance(definition, ast.ClassDef)
    told = {}
    for field, below in zip(definition.body, definition.body[1:], strict=False):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
            assert isinstance(below.value, ast.Constant)
            told[field.target.id] = inspect.cleandoc(str(below.value.value)).replace("\n", " ")
    return told


if __name__ == "__main__":
    from tests.support import asyncapi

    GOLDEN.write_bytes(GOLDEN_ENVELOPE.wire()[0])
    SCHEMAS.mkdir(parents=True, exist_ok=True)
    for name in WIRE:
        (SCHEMAS / f"{name}.json").write_text(schema(name), encoding="utf-8")
    asyncapi.PUBLISHED.write_text(asyncapi.document(), encoding="utf-8")
