"""Which hop a redriven run begins with, what may be redriven, and how the dead are shown."""

from typing import Any

import pytest

from baton.envelope import decode
from baton.errors import NotFoundError, RequestError
from baton.journal.views import RunView
from baton.protocol import redriving
from baton.request import Failure
from baton.testing.builders import make_envelope
from tests.support.hops import RUN_ID

NEW_RUN_ID = "0192f3c4d5e6" + "8" * 20
Hop = tuple[str, bytes]


def hop(agent: str, kind: str = "handoff", **changes: Any) -> Hop:
    return agent, make_envelope(**{"run_id": RUN_ID, "agent": agent, "kind": kind, **changes}).head()


ROUTED = hop("router", "route")
BLOCKED = ("router", b"")
ASKED = hop("a", "reply")
ANSWERED = hop("a", "reply", reply="visa")


@pytest.mark.parametrize(
    ("hops", "seq"),
    [
        ([BLOCKED], 0),
        ([ROUTED], 0),
        ([ROUTED, hop("a")], 1),
        ([ROUTED, hop("a"), hop("b")], 2),
        ([ROUTED, hop("a", "resume")], 1),
        ([ROUTED, hop("a"), hop("router", "handoff")], 2),
        ([ROUTED, hop("a"), ASKED], 1),
        ([ROUTED, hop("a"), ANSWERED], 2),
        ([ROUTED, hop("a"), ANSWERED, ASKED], 2),
        ([ROUTED, hop("a"), hop("human")], 1),
        ([ROUTED, hop("human")], 0),
        ([ROUTED, hop("a"), hop("human"), hop("b")], 3),
        ([ROUTED, hop("a"), ASKED, hop("human")], 1),
    ],
    ids=lambda value: "-".join(agent for agent, _ in value) if isinstance(value, list) else None,
)
def test_a_run_goes_on_at_the_last_hop_that_can_be_tried_again(hops: list[Hop], seq: int) -> None:
    assert redriving.start(hops) == seq


def test_a_moved_hop_is_another_runs_and_else_the_same() -> None:
    _, head = hop("a", facts={"a": 1}, reason="look", summary="short")
    moved = redriving.moved(head, NEW_RUN_ID)
    assert decode(moved).run_id == NEW_RUN_ID
    assert decode(moved).model_copy(update={"run_id": RUN_ID}).head() == head
    assert redriving.moved(b"", NEW_RUN_ID) == b""


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_what_ended_badly_can_be_redriven_once(status: Any) -> None:
    redriving.check(status, None)
    with pytest.raises(RequestError, match=f"redriven before, as {NEW_RUN_ID}"):
        redriving.check(status, NEW_RUN_ID)


@pytest.mark.parametrize("status", ["queued", "running", "waiting", "completed"])
def test_what_goes_on_or_has_its_answer_cannot_be_redriven(status: Any) -> None:
    with pytest.raises(RequestError, match=f"the run is {status}; only a failed or cancelled one") as caught:
        redriving.check(status, None)
    assert caught.value.code == "not_dead"


def test_messages_are_told_from_runs_by_their_ids() -> None:
    assert redriving.is_message("q12")
    assert not redriving.is_message(RUN_ID)
    assert redriving.message_number("q12") == 12


@pytest.mark.parametrize(
    "dead_id", ["", "q", "12", "q-1", "q+1", "q1_0", "q 1", "q1.0", "q\u0661", "q" + "1" * 19, RUN_ID]
)
def test_what_is_no_messages_id_is_told(dead_id: str) -> None:
    with pytest.raises(NotFoundError, match="their ids are q1, q2, …"):
        redriving.message_number(dead_id)


def test_a_dead_run_names_the_agent_that_failed_before_the_one_that_had_it() -> None:
    run = RunView(
        run_id=RUN_ID,
        conversation_id="c1",
        tenant="bank",
        status="failed",
        agent="b",
        text="my card",
        error=Failure(code="max_attempts", message="six times", agent="a"),
        accepted_at=1.0,
        ended_at=2.0,
    )
    view = redriving.dead_run(run)
    assert (view.id, view.kind, view.reason, view.message) == (RUN_ID, "run", "max_attempts", "six times")
    assert (view.at, view.agent, view.tenant, view.text) == (2.0, "a", "bank", "my card")
    unnamed = run.model_copy(update={"error": Failure(code="deadline_exceeded", message="too late")})
    assert redriving.dead_run(unnamed).agent == "b"


def test_a_dead_message_shows_what_can_be_shown() -> None:
    view = redriving.dead_message(7, 1.0, "baton.requests", "no JSON", b"{\xff\xe2\x99")
    assert (view.id, view.kind, view.reason, view.agent) == ("q7", "message", "quarantine", "baton.requests")
    assert (view.message, view.text, view.tenant) == ("no JSON", "{\ufffd\ufffd", None)
