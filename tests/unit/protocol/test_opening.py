"""How a run begins: the context of hop 0."""

from typing import Any

from baton.protocol.opening import opening
from baton.request import Request


def opened(text_position: int = 4, **fields: Any) -> Any:
    request = Request.of({"text": "my card", **fields})
    return opening("0" * 32, "bank", "c1", request, facts={"customer": 7}, text_position=text_position, max_hops=3)


def test_hop_0_is_the_routers_and_holds_what_the_request_gave() -> None:
    envelope = opened()
    assert (envelope.run_id, envelope.tenant, envelope.conversation_id) == ("0" * 32, "bank", "c1")
    assert (envelope.seq, envelope.agent, envelope.from_agent, envelope.kind) == (0, "router", None, "route")
    assert envelope.facts == {"customer": 7}
    assert envelope.trail == ()


def test_only_the_requests_own_text_crosses_whatever_was_said_before() -> None:
    envelope = opened(text_position=4)
    assert (envelope.text_position, envelope.log_length, envelope.spans) == (4, 5, ((4, 5),))
    assert not envelope.has_whole_log
    assert opened(text_position=0).has_whole_log


def test_the_budget_is_what_the_run_may_use() -> None:
    budget = opened(deadline_s=60).budget
    assert (budget.max_hops, budget.hops_left, budget.deadline_left_s) == (3, 3, 60.0)
    assert opened().budget.deadline_left_s is None


def test_facts_known_at_the_start_are_no_progress_later() -> None:
    guard = opened().guard
    assert (guard.progress, len(guard.seen)) == (1, 1)
