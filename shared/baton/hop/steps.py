"""Steps: calls that are done once, recorded, and replayed from the record after a crash.

In: `turn.step(key, fn, …)` and `turn.approve(key, …)`. Out: the recorded result; a new record,
guarded by the hop's token; or a suspension that waits for a person.
"""

import functools
import inspect
import time
import typing
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError

from baton import codec, failpoints, ids
from baton.errors import StepKeyReusedError, StepResultError, TurnError
from baton.hop.threads import in_thread
from baton.journal.records import NewWait, OnTimeout, Step
from baton.outcome import Approval

E = TypeVar("E", bound=BaseException)

Effect = Literal["idempotent", "keyed", "unsafe"]
Scope = Literal["hop", "run"]
KEY_LIMIT = 200
"""Longest step key, in characters."""


class Suspended(BaseException):  # no error: control flow that `except Exception` must not catch
    """The hop stands still until a person answers; it holds no lease and no delivery."""

    def __init__(self, wait: NewWait) -> None:
        super().__init__(wait.prompt)
        self.wait = wait


class LeaseLost(BaseException):  # as above
    """Another worker may have the hop: write nothing more."""


def first_of(group: BaseExceptionGroup[BaseException], kind: type[E]) -> E | None:
    """Return the first exception of a kind in a group, or None."""
    for one in group.exceptions:
        found = first_of(one, kind) if isinstance(one, BaseExceptionGroup) else one
        if isinstance(found, kind):
            return found
    return None


class Steps:
    """The steps of one attempt at one hop.

    Args:
        seq: The hop.
        agent: Whose hop it is.
        root_run_id: The first run of a chain of redrives.
        attempt: This attempt, 1-based.
        recorded: All steps of the run so far.
        write: Records a step; returns False where the lease is lost.
        may_start: Raises `LeaseLost` where no step may start any more.
        clock: Gives the Unix seconds that go into records.
    """

    def __init__(
        self,
        seq: int,
        agent: str,
        *,
        root_run_id: str,
        attempt: int,
        recorded: Sequence[Step],
        write: Callable[[Step], Awaitable[bool]],
        may_start: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._seq = seq
        self._agent = agent
        self._root_run_id = root_run_id
        self._attempt = attempt
        self._recorded = {(step.scope, step.key): step for step in recorded}
        self._known = {(step.key, step.input_sha) for step in recorded if step.seq != seq}
        self._met: set[tuple[str, str]] = set()
        self._write = write
        self._may_start = may_start
        self._clock = clock
        self.has_new = False
        """True once a step was met whose (name, input) is new in this run."""

    def recorded_keys(self) -> frozenset[str]:
        """Return the keys that earlier attempts at this hop have recorded."""
        return frozenset(step.key for step in self._recorded.values() if step.seq == self._seq)

    async def call(self, key: str, fn: Callable[..., Any], args: tuple[Any, ...], effect: Effect, scope: Scope) -> Any:
        """Return the record of `key`, or call `fn`, record its result and return that.

        Raises:
            StepKeyReusedError: The key was met before in this attempt, or with other arguments.
            StepResultError: The result is no JSON, or larger than 1 MiB.
            Suspended: An unsafe effect may or may not have happened, or a replay met other
                arguments; a person decides.
            LeaseLost: Another worker may have the hop.
        """
        _check_choice("effect", effect, get_args(Effect))
        _check_choice("scope", scope, get_args(Scope))
        place, input_sha = self._meet(key, scope), codec.fingerprint(list(args))
        self.has_new = self.has_new or (key, input_sha) not in self._known
        record = self._recorded.get((place, key))
        if record is not None:
            self._check(record, input_sha)
            return _decoded(fn, record.result)
        step = Step(
            place,
            key,
            "intent",
            input_sha,
            idempotency_key=ids.idempotency_key(self._root_run_id, place, key),
            effect=effect,
            seq=self._seq,
            attempt=self._attempt,
            started_at=self._clock(),
        )
        if effect == "unsafe":
            self._may_start()
            await self._put(step)
            failpoints.hit("step.intended")
        return await self._perform(step, fn, args)

    async def approve(
        self, key: str, prompt: str, *, deadline_s: float | None = None, on_timeout: OnTimeout = "deny"
    ) -> Approval:
        """Return the recorded answer to `prompt`, or suspend the hop until there is one.

        Raises:
            StepKeyReusedError: The key was met before in this attempt.
            RequestError: The prompt is no text that can be stored, or the deadline no length of time.
            Suspended: Nobody has answered yet.
        """
        _check_choice("on_timeout", on_timeout, ("deny", "escalate"))
        codec.checked_text(prompt, field="approve.prompt")
        codec.checked_seconds(deadline_s, field="approve.deadline_s")
        place = self._meet(key, "hop")
        record = self._recorded.get((place, key))
        if record is not None:
            self.has_new = True
            return Approval(**codec.decode(record.result))
        wait = NewWait(
            ids.new_id(),
            self._seq,
            "approval",
            self._agent,
            prompt,
            ("approve", "reject"),
            deadline_s,
            on_timeout,
            step_key=key,
            step_scope=place,
            input_sha=codec.fingerprint(prompt),
        )
        raise Suspended(wait)

    async def _perform(self, step: Step, fn: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        keyed = {"idempotency_key": step.idempotency_key} if step.effect == "keyed" else {}
        # At the last moment: while a process stands still its hop may go elsewhere.
        if inspect.iscoroutinefunction(fn):
            self._may_start()
            result = await fn(*args, **keyed)
        else:
            result = await in_thread(self._begun, fn, *args, **keyed)
            if inspect.isawaitable(result):
                result = await result
        failpoints.hit("step.done")
        encoded = _encoded(step.key, result)
        await self._put(
            Step(
                step.scope,
                step.key,
                "done",
                step.input_sha,
                encoded,
                step.idempotency_key,
                step.effect,
                step.seq,
                step.attempt,
                step.started_at,
                self._clock(),
            )
        )
        failpoints.hit("step.recorded")
        return _decoded(fn, encoded)

    async def _put(self, step: Step) -> None:
        if not await self._write(step):
            raise LeaseLost
        self._recorded[(step.scope, step.key)] = step

    def _begun(self, fn: Callable[..., Any], *args: Any, **keyed: Any) -> Any:
        self._may_start()
        return fn(*args, **keyed)

    def _meet(self, key: str, scope: Scope) -> str:
        """Return where the step is recorded, and note that this attempt has met it."""
        if not key or len(key) > KEY_LIMIT:
            raise StepKeyReusedError(f"step key {key!r}: a key is a string of 1 to {KEY_LIMIT} characters")
        place = str(self._seq) if scope == "hop" else f"agent:{self._agent}"
        if (place, key) in self._met:
            raise StepKeyReusedError(
                f"step key {key!r} was used twice in one turn of {self._agent!r}; "
                "a key names one call: add what tells the two apart"
            )
        self._met.add((place, key))
        return place

    def _check(self, record: Step, input_sha: str) -> None:
        """Let a record be replayed if it is certainly the record of this call."""
        if record.status == "intent":
            told = (
                f"step {record.key!r} of {self._agent!r} was started and its outcome is not known, and it is unsafe "
                "to repeat: approve: it did not happen, run it; a text: it happened, this is its result; "
                "reject: stop the run"
            )
            raise Suspended(self._review(record, told, input_sha))
        if record.input_sha == input_sha:
            return
        if record.seq != self._seq:
            raise StepKeyReusedError(
                f"step key {record.key!r} was recorded in hop {record.seq} with other arguments; "
                'with scope="run" a key names one call of the whole run'
            )
        told = (
            f"step {record.key!r} of {self._agent!r} was recorded with other arguments than this replay gives it: "
            "was its code or input changed meanwhile? approve: run it again with the new ones; "
            "a text: take it as the result; reject: stop the run"
        )
        raise Suspended(self._review(record, told, input_sha))

    def _review(self, record: Step, prompt: str, input_sha: str) -> NewWait:
        return NewWait(
            ids.new_id(),
            self._seq,
            "review",
            self._agent,
            prompt,
            ("approve", "reject"),
            step_key=record.key,
            step_scope=record.scope,
            input_sha=input_sha,
        )


def _check_choice(name: str, value: object, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise TurnError(f"{name} is {value!r}; allowed are {', '.join(allowed)}")


def _encoded(key: str, result: object) -> bytes:
    try:
        encoded = codec.encode(codec.plain(result))
    except ValueError as error:
        raise StepResultError(f"step {key!r} returned {type(result).__name__}, which is {error}") from error
    if len(encoded) > codec.ITEM_LIMIT_BYTES:
        raise StepResultError(
            f"step {key!r} returned {len(encoded)} bytes; at most {codec.ITEM_LIMIT_BYTES}: return a reference"
        )
    return encoded


def _decoded(fn: Callable[..., Any], encoded: bytes) -> Any:
    """Return a recorded result as the model or dataclass that `fn` says it returns, else as JSON.

    Raises:
        StepResultError: The record is not what `fn` says it returns.
    """
    adapter = _adapter(getattr(fn, "__func__", fn))
    value = codec.decode(encoded)
    if adapter is None:
        return value
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "result"
        raise StepResultError(
            f"{getattr(fn, '__qualname__', fn)} says that it returns {_shown(adapter)}, "
            f"and its record is no such thing: {where}: {first['msg']}; "
            "correct the annotation, or keep it readable for old records"
        ) from error


def _adapter(fn: Callable[..., Any]) -> TypeAdapter[Any] | None:
    if "return" not in getattr(fn, "__annotations__", ()):
        return None
    try:
        return _adapter_of(typing.get_type_hints(fn)["return"])
    except (NameError, AttributeError, TypeError, SyntaxError, PydanticUserError):
        return None


@functools.lru_cache(maxsize=1024)
def _adapter_of(returns: Any) -> TypeAdapter[Any] | None:
    return None if returns in (Any, type(None)) else TypeAdapter(returns)


def _shown(adapter: TypeAdapter[Any]) -> str:
    return repr(adapter).removeprefix("TypeAdapter(").removesuffix(")")
