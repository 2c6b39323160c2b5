"""Steps: done once, recorded, replayed; and what happens where a record does not fit."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import pytest
from pydantic import BaseModel

from baton import ids
from baton.errors import RequestError, StepKeyReusedError, StepResultError
from baton.hop.steps import LeaseLost, Steps, Suspended
from baton.journal.records import Step
from baton.outcome import Approval

RUN_ID = "0192f3c4d5e6" + "7" * 20


class Ledger:
    """What a journal would keep of the steps of one hop."""

    def __init__(self) -> None:
        self.written: list[Step] = []
        self.is_mine = True

    async def write(self, step: Step) -> bool:
        if self.is_mine:
            self.written.append(step)
        return self.is_mine

    def attempt(self, recorded: Sequence[Step] = (), *, number: int = 1, seq: int = 2, **changes: Any) -> Steps:
        return Steps(seq, "cards", root_run_id=RUN_ID, attempt=number, recorded=recorded, write=self.write, **changes)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


class Calls:
    """A function that counts how often it was called."""

    def __init__(self, result: Any = None) -> None:
        self.args: list[tuple[Any, ...]] = []
        self.keys: list[str] = []
        self.result = result

    async def __call__(self, *args: Any, idempotency_key: str = "") -> Any:
        self.args.append(args)
        self.keys.append(idempotency_key)
        return self.result


async def test_a_step_is_called_and_recorded_with_its_result(ledger: Ledger) -> None:
    fn = Calls({"ok": (1, 2)})
    assert await ledger.attempt(number=3).call("freeze", fn, ("visa", 7), "idempotent", "hop") == {"ok": [1, 2]}
    assert fn.args == [("visa", 7)]
    [step] = ledger.written
    assert (step.scope, step.key, step.status, step.effect, step.seq, step.attempt) == (
        "2",
        "freeze",
        "done",
        "idempotent",
        2,
        3,
    )
    assert json.loads(step.result) == {"ok": [1, 2]}
    assert step.idempotency_key == ids.idempotency_key(RUN_ID, "2", "freeze")
    assert step.ended_at is not None
    assert step.ended_at >= step.started_at > 0


async def test_a_recorded_step_is_replayed_and_not_called(ledger: Ledger) -> None:
    await ledger.attempt().call("freeze", Calls({"ok": True}), ("visa",), "idempotent", "hop")
    again = Calls("other")
    replay = ledger.attempt(ledger.written, number=2, may_start=lambda: pytest.fail("a replay starts nothing"))
    assert await replay.call("freeze", again, ("visa",), "idempotent", "hop") == {"ok": True}
    assert again.args == []
    assert len(ledger.written) == 1


async def test_a_plain_function_runs_beside_the_loop_and_is_recorded_alike(ledger: Ledger) -> None:
    assert await ledger.attempt().call("add", lambda a, b: a + b, (1, 2), "idempotent", "hop") == 3
    assert ledger.written[0].result == b"3"


async def test_an_error_of_the_function_is_the_turns_and_nothing_is_recorded(ledger: Ledger) -> None:
    def fail() -> None:
        raise ZeroDivisionError("odd")

    steps = ledger.attempt()
    with pytest.raises(ZeroDivisionError, match="odd"):
        await steps.call("k", fail, (), "idempotent", "hop")
    assert ledger.written == []


async def test_the_first_run_sees_the_value_that_a_replay_will_see(ledger: Ledger) -> None:
    async def pair() -> tuple[int, ...]:
        return (1, 2)

    first = await ledger.attempt().call("pair", pair, (), "idempotent", "hop")
    second = await ledger.attempt(ledger.written).call("pair", pair, (), "idempotent", "hop")
    assert first == second == (1, 2)


class Card(BaseModel):
    number: str
    until: date


@dataclass
class Limit:
    amount: int
    card: Card


@pytest.mark.parametrize("kind", ["model", "dataclass", "partial", "method"])
async def test_a_model_or_dataclass_comes_back_as_what_the_function_says_it_returns(ledger: Ledger, kind: str) -> None:
    card = Card(number="1", until=date(2030, 1, 2))

    def model() -> Card:
        return card

    def data() -> Limit:
        return Limit(5, card)

    class Bank:
        def limit(self) -> Limit:
            return Limit(5, card)

    fn: Any = {"model": model, "dataclass": data, "partial": partial(model), "method": Bank().limit}[kind]
    expected = {"model": card, "partial": {"number": "1", "until": "2030-01-02"}}.get(kind, Limit(5, card))
    assert await ledger.attempt().call("k", fn, (), "idempotent", "hop") == expected
    assert await ledger.attempt(ledger.written).call("k", fn, (), "idempotent", "hop") == expected


async def test_a_function_whose_annotation_cannot_be_read_gives_json(ledger: Ledger) -> None:
    def odd():  # type: ignore[no-untyped-def]
        return {"a": 1}

    for annotation in ("NoSuchName", "json.NoSuchName", "no python", 7, Ledger, Any):
        odd.__annotations__ = {"return": annotation}
        assert await ledger.attempt().call("k", odd, (), "idempotent", "hop") == {"a": 1}
    odd.__annotations__ = {}
    assert await ledger.attempt().call("k", odd, (), "idempotent", "hop") == {"a": 1}


async def test_a_result_that_is_not_what_the_function_says_is_told(ledger: Ledger) -> None:
    def wrong() -> Card:
        return {"number": 1}  # type: ignore[return-value]

    with pytest.raises(StepResultError, match=r"wrong says that it returns .*Card.*, and its record is no such thing"):
        await ledger.attempt().call("k", wrong, (), "idempotent", "hop")


@pytest.mark.parametrize("result", [object(), float("nan"), "\ud800", b"\xff"])
async def test_a_result_that_is_no_json_is_told_by_its_step(ledger: Ledger, result: object) -> None:
    with pytest.raises(StepResultError, match=f"step 'k' returned {type(result).__name__}, which is not JSON"):
        await ledger.attempt().call("k", Calls(result), (), "idempotent", "hop")
    assert ledger.written == []


async def test_a_result_may_have_a_mebibyte_and_no_byte_more(ledger: Ledger) -> None:
    steps = ledger.attempt()
    await steps.call("full", Calls("x" * 1_048_574), (), "idempotent", "hop")
    with pytest.raises(StepResultError, match="step 'over' returned 1048577 bytes; at most 1048576"):
        await steps.call("over", Calls("x" * 1_048_575), (), "idempotent", "hop")


@pytest.mark.parametrize("key", ["", "k" * 201])
async def test_a_step_key_has_1_to_200_characters(ledger: Ledger, key: str) -> None:
    with pytest.raises(StepKeyReusedError, match="a key is a string of 1 to 200 characters"):
        await ledger.attempt().call(key, Calls(), (), "idempotent", "hop")
    await ledger.attempt().call("k" * 200, Calls(), (), "idempotent", "hop")


async def test_a_key_names_one_call_of_a_turn(ledger: Ledger) -> None:
    steps, fn = ledger.attempt(), Calls()
    await steps.call("k", fn, (1,), "idempotent", "hop")
    with pytest.raises(StepKeyReusedError, match="'k' was used twice in one turn of 'cards'"):
        await steps.call("k", fn, (1,), "idempotent", "hop")
    await steps.call("k", fn, (1,), "idempotent", "run")
    with pytest.raises(StepKeyReusedError, match="used twice"):
        await steps.approve("k", "sure?")
    assert len(fn.args) == 2


async def test_a_replay_with_other_arguments_stops_for_a_review(ledger: Ledger) -> None:
    await ledger.attempt().call("pay", Calls(), (10,), "idempotent", "hop")
    fn = Calls()
    with pytest.raises(Suspended) as caught:
        await ledger.attempt(ledger.written, number=2).call("pay", fn, (11,), "idempotent", "hop")
    wait = caught.value.wait
    assert (wait.kind, wait.seq, wait.agent, wait.step_key, wait.step_scope) == ("review", 2, "cards", "pay", "2")
    assert wait.input_sha != ledger.written[0].input_sha
    assert "recorded with other arguments" in wait.prompt
    assert (wait.options, fn.args) == (("approve", "reject"), [])


async def test_an_argument_without_a_json_form_counts_by_its_type(ledger: Ledger) -> None:
    await ledger.attempt().call("k", Calls(1), (object(), {"b", "a"}), "idempotent", "hop")
    assert await ledger.attempt(ledger.written).call("k", Calls(2), (object(), {"a", "b"}), "idempotent", "hop") == 1


async def test_a_keyed_effect_gets_the_same_key_on_every_attempt(ledger: Ledger) -> None:
    fn = Calls()
    for number in (1, 2):
        await ledger.attempt(number=number).call("pay", fn, (10,), "keyed", "hop")
    await ledger.attempt().call("pay2", fn, (10,), "keyed", "hop")
    await ledger.attempt(seq=3).call("pay", fn, (10,), "keyed", "hop")
    first, second, other_key, other_hop = fn.keys
    assert first == second == ids.idempotency_key(RUN_ID, "2", "pay")
    assert len({first, other_key, other_hop}) == 3


async def test_an_unsafe_effect_is_preceded_by_its_intent(ledger: Ledger) -> None:
    seen: list[str] = []

    async def pay() -> str:
        seen.append(ledger.written[-1].status)
        return "paid"

    assert await ledger.attempt().call("pay", pay, (), "unsafe", "hop") == "paid"
    assert seen == ["intent"]
    assert [step.status for step in ledger.written] == ["intent", "done"]
    assert ledger.written[0].ended_at is None


@pytest.mark.parametrize("amount", [10, 11])
async def test_an_unsafe_effect_with_an_unknown_outcome_is_not_repeated_but_reviewed(
    ledger: Ledger, amount: int
) -> None:
    await ledger.attempt().call("pay", Calls(), (10,), "unsafe", "hop")
    intent, fn = ledger.written[0], Calls()
    with pytest.raises(Suspended) as caught:
        await ledger.attempt([intent], number=2).call("pay", fn, (amount,), "unsafe", "hop")
    assert fn.args == []
    assert "its outcome is not known, and it is unsafe to repeat" in caught.value.wait.prompt
    assert (caught.value.wait.input_sha == intent.input_sha) is (amount == 10)


async def test_a_step_of_the_whole_run_is_done_once_per_run_and_agent(ledger: Ledger) -> None:
    await ledger.attempt().call("greet", Calls("hi"), ("ann",), "keyed", "run")
    [step] = ledger.written
    assert (step.scope, step.idempotency_key) == ("agent:cards", ids.idempotency_key(RUN_ID, "agent:cards", "greet"))
    later = ledger.attempt(ledger.written, seq=4)
    assert await later.call("greet", Calls("ho"), ("ann",), "keyed", "run") == "hi"
    with pytest.raises(StepKeyReusedError, match="was recorded in hop 2 with other arguments"):
        await ledger.attempt(ledger.written, seq=4).call("greet", Calls(), ("bob",), "keyed", "run")


async def test_a_step_of_another_hop_or_agent_is_another_step(ledger: Ledger) -> None:
    await ledger.attempt().call("k", Calls(1), (), "idempotent", "hop")
    assert await ledger.attempt(ledger.written, seq=3).call("k", Calls(2), (), "idempotent", "hop") == 2


async def test_progress_is_a_step_whose_name_or_input_is_new_in_the_run(ledger: Ledger) -> None:
    await ledger.attempt().call("look", Calls(), (1,), "idempotent", "hop")
    for seq, key, arg, has_new in (
        (2, "look", 1, True),
        (4, "look", 1, False),
        (4, "look", 2, True),
        (4, "seek", 1, True),
    ):
        steps = ledger.attempt(list(ledger.written[:1]), seq=seq)
        assert not steps.has_new
        await steps.call(key, Calls(), (arg,), "idempotent", "hop")
        assert steps.has_new is has_new, (seq, key, arg)


@pytest.mark.parametrize("is_async", [False, True])
async def test_the_lease_is_looked_at_right_before_the_call(ledger: Ledger, is_async: bool) -> None:
    def lost_with_the_intent() -> None:
        if ledger.written:
            raise LeaseLost

    def fn() -> None:
        pytest.fail("it was called")

    async def async_fn() -> None:
        fn()

    with pytest.raises(LeaseLost):
        steps = ledger.attempt(may_start=lost_with_the_intent)
        await steps.call("pay", async_fn if is_async else fn, (), "unsafe", "hop")
    assert [step.status for step in ledger.written] == ["intent"]


async def test_without_the_lease_nothing_starts_and_nothing_is_returned(ledger: Ledger) -> None:
    def refuse() -> None:
        raise LeaseLost

    fn = Calls()
    with pytest.raises(LeaseLost):
        await ledger.attempt(may_start=refuse).call("k", fn, (), "idempotent", "hop")
    ledger.is_mine = False
    with pytest.raises(LeaseLost):
        await ledger.attempt().call("pay", fn, (), "unsafe", "hop")
    assert fn.args == []
    with pytest.raises(LeaseLost):
        await ledger.attempt().call("look", fn, (), "idempotent", "hop")


async def test_an_approval_suspends_until_its_answer_is_recorded(ledger: Ledger) -> None:
    steps = ledger.attempt()
    with pytest.raises(Suspended) as caught:
        await steps.approve("refund", "refund 500?", deadline_s=60, on_timeout="escalate")
    wait = caught.value.wait
    assert (wait.kind, wait.prompt, wait.deadline_s, wait.on_timeout) == ("approval", "refund 500?", 60, "escalate")
    assert (wait.step_key, wait.step_scope, wait.seq) == ("refund", "2", 2)
    assert not steps.has_new
    answer = Step("2", "refund", "done", wait.input_sha, b'{"granted": true, "by": "ann", "reason": "fine"}', seq=2)
    resumed = ledger.attempt([answer])
    assert await resumed.approve("refund", "refund 500?") == Approval(granted=True, by="ann", reason="fine")
    assert resumed.has_new


@pytest.mark.parametrize(
    ("prompt", "deadline_s", "field"),
    [
        ("", None, "approve.prompt"),
        ("a\ud800", None, "approve.prompt"),
        ("ok?", 0, "approve.deadline_s"),
        ("ok?", float("nan"), "approve.deadline_s"),
    ],
)
async def test_an_approval_that_could_not_be_asked_is_refused(
    ledger: Ledger, prompt: str, deadline_s: float | None, field: str
) -> None:
    with pytest.raises(RequestError) as caught:
        await ledger.attempt().approve("k", prompt, deadline_s=deadline_s)
    assert caught.value.field == field


async def test_a_suspension_passes_an_agents_own_error_handling(ledger: Ledger) -> None:
    with pytest.raises(Suspended):
        try:
            await ledger.attempt().approve("k", "sure?")
        except Exception:
            pytest.fail("an agent's `except Exception` caught the suspension")
