"""A look at a reply is recorded; what earlier attempts recorded decides, not today's settings."""

from typing import Any

import pytest

from baton.card import Card
from baton.hop.judge import Judge
from baton.hop.recognition import STEP, Recognised, recognised, was_moved
from baton.hop.steps import Steps
from baton.journal.records import Step
from baton.outcome import Handoff, Shift
from baton.protocol.guards import Graph
from baton.routing.decision import RouteDecision
from baton.testing import ScriptedClassifier
from baton.testing.builders import make_envelope

GRAPH = Graph({name: Card(name=name, description=name) for name in ("cards", "loans")})
REPLY = make_envelope(agent="loans", kind="reply", reply="my card is gone")


def judge(false_share: float = 0.02) -> Judge:
    return Judge(lambda: ScriptedClassifier({"card": "cards"}), false_share=false_share)


def to_cards(shift: Shift, decision: RouteDecision) -> Handoff | None:
    assert decision.agent == "cards"
    return Handoff(shift.targets[0][0], reason="about cards")


def nowhere(shift: Shift, decision: RouteDecision) -> None:
    return None


class Attempt:
    """One attempt at a hop, which sees what those before it recorded."""

    def __init__(self, *recorded: Step) -> None:
        self.written: list[Step] = []
        write = self._write
        self.steps = Steps(1, "loans", root_run_id="0" * 32, attempt=1, recorded=recorded, write=write)

    async def _write(self, step: Step) -> bool:
        self.written.append(step)
        return True

    async def look(self, judge: Judge, onward: Any = nowhere, **changes: Any) -> Recognised:
        return await recognised(REPLY.model_copy(update=changes), GRAPH, judge, self.steps, onward)


async def test_a_replay_sees_what_was_recorded_whatever_the_settings_are_now() -> None:
    first = Attempt()
    found = await first.look(judge(), to_cards)
    assert found == Recognised(Shift((("cards", 1.0),), confident=True), Handoff("cards", reason="about cards"))
    assert await Attempt(*first.written).look(judge(0.0), nowhere, kind="resume") == found


async def test_an_attempt_after_one_that_did_not_look_does_not_look_either() -> None:
    paid = Step("1", "pay", "done", "sha", b"1", seq=1)
    assert await Attempt(paid).look(judge(), to_cards) == Recognised()
    elsewhere = Step("0", "pay", "done", "sha", b"1", seq=0)
    assert (await Attempt(elsewhere).look(judge(), to_cards)).shift is not None


@pytest.mark.parametrize("changes", [{"reply": None}, {"kind": "handoff", "reply": None}])
async def test_without_a_reply_there_is_nothing_to_look_at(changes: dict[str, Any]) -> None:
    assert await Attempt().look(judge(), to_cards, **changes) == Recognised()


async def test_it_is_told_from_the_record_that_a_hop_was_handed_off_without_its_turn() -> None:
    moved, told, quiet = Attempt(), Attempt(), Attempt()
    await moved.look(judge(), to_cards)
    await told.look(judge(), nowhere)
    await quiet.look(judge(), nowhere, reply="a year")
    assert [was_moved(one.written, 1) for one in (moved, told, quiet)] == [True, False, False]
    assert not was_moved(moved.written, 2)
    assert [step.key for step in (*moved.written, *told.written, *quiet.written)] == [STEP] * 3
