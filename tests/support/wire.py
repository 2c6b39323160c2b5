"""The envelope of the golden file, and the JSON Schemas of what crosses the wire.

Run `python -m tests.support.wire` to write both anew; a change to either is a change of the contract.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from baton.envelope import Budget, Envelope, Guard, Message, TrailEntry
from baton.request import Request, Result

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "contract" / "golden" / "envelope.v1.json"
SCHEMAS = ROOT / "docs" / "schemas"
MODELS: dict[str, type[BaseModel]] = {"envelope.v1": Envelope, "request": Request, "result": Result}

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


def schema(model: type[BaseModel]) -> str:
    """Return the JSON Schema of what a model reads, as the file holds it."""
    found: dict[str, Any] = model.model_json_schema(by_alias=True)
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **found}, indent=2) + "\n"


if __name__ == "__main__":
    GOLDEN.write_bytes(GOLDEN_ENVELOPE.wire()[0])
    SCHEMAS.mkdir(parents=True, exist_ok=True)
    for name, model in MODELS.items():
        (SCHEMAS / f"{name}.json").write_text(schema(model), encoding="utf-8")
