"""The demo's requests: each takes the way it shows, from the router to its answer."""

from collections import Counter
from pathlib import Path

import pytest

from baton import Result
from baton.testing import Served, serve
from services import demo
from services.bank import Bank
from services.team import desk

WAITS = {"approval": ("approve", "reject"), "user": ("reply",), "human": ("answer",)}


async def operated(served: Served, request: demo.DemoRequest) -> Result:
    """Send a request and let its scripted operator answer the waits; return how it ended."""
    run = await served.start(request.text, facts=dict(request.facts), conversation_id=request.conversation)
    result = await run.result(timeout_s=60)
    for operation in request.operator:
        assert result.question is not None, f"{request.text!r} waits for nobody: {result}"
        assert operation.does in WAITS[result.question.kind]
        if operation.does in ("approve", "reject"):
            answer = {"decision": operation.does, "reason": operation.text}
            result = await served.reply(result, by="operator", timeout_s=60, **answer)
        else:
            result = await served.reply(result, operation.text, by="operator", timeout_s=60)
    return result


def test_there_are_enough_requests_and_each_department_has_one() -> None:
    assert 12 <= len(demo.REQUESTS) <= 16
    assert {agent for request in demo.REQUESTS for agent in request.trail} >= desk.agents.keys()
    assert len({request.text for request in demo.REQUESTS}) == len(demo.REQUESTS)


@pytest.mark.slow
async def test_every_request_takes_the_way_it_shows(bank_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_BANK_URL", bank_url)
    for _ in range(2):
        demo.prepare()
        async with serve(desk) as served:
            results = [await operated(served, request) for request in demo.REQUESTS]
        assert [(one.status, one.trail) for one in results] == [
            ("completed", request.trail) for request in demo.REQUESTS
        ]
    bank = Bank.open(bank_url)
    entries = bank.ledger()
    bank.close()
    assert {entry.attempts for entry in entries} == {1}
    effects = Counter(entry.effect for entry in entries)
    assert effects == {name: 2 * count for name, count in _EFFECTS.items()}


_EFFECTS = {
    "freeze_card": 3,
    "order_card": 1,
    "open_case": 3,
    "refund": 2,
    "activate_card": 1,
    "cancel_transfer": 1,
    "start_identity_check": 1,
}
"""Effects of one pass over the demo's requests."""


@pytest.mark.slow
async def test_what_the_demo_answers_is_told_from_the_records(bank_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_BANK_URL", bank_url)
    async with serve(desk) as served:
        stolen = await operated(served, demo.REQUESTS[0])
        refund = await operated(served, demo.REQUESTS[1])
    assert "for 240.00 GBP, Skyline Vouchers" in str(stolen.text)
    assert "card ending 9917 is frozen" in str(stolen.text)
    assert stolen.facts["customer"] == "tomas"
    assert "180.00 GBP for Nordkap Tents" in str(refund.text)


def test_preparing_puts_the_records_back(bank_url: str, monkeypatch: pytest.MonkeyPatch, bank: Bank) -> None:
    bank.freeze_card("K-1", "lost", idempotency_key="one")
    monkeypatch.setenv("DESK_BANK_URL", bank_url)
    demo.prepare()
    assert bank.card("K-1").status == "active"
    assert len(bank.ledger()) == 1


def test_readmes_are_short_and_every_process_has_one() -> None:
    services = Path(demo.__file__).parent
    folders = [*desk.agents, "router", "human"]
    lengths = {name: len((services / name / "README.md").read_text().splitlines()) for name in folders}
    assert {name: count for name, count in lengths.items() if not 0 < count <= 20} == {}
