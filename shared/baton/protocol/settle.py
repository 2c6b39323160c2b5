"""What an outcome becomes: the rows that one transaction writes, and the next envelope.

In: a hop's context and what its turn returned or raised. Out: a `Settled`, which `hop.worker` hands
to the journal and then to the broker.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ValidationError

from baton import codec, ids
from baton.envelope import Envelope, Message
from baton.errors import FactsError, OutcomeError, RequestError
from baton.journal.records import Finish, Lease, NewEvent, NewMessage, NewWait, RunEnd
from baton.outcome import Answer, Ask, Handoff, Outcome
from baton.protocol import guards, retry, transfer
from baton.protocol.moving import HopContext, NextStep, next_hop
from baton.protocol.route import Routed
from baton.request import Failure


@dataclass(frozen=True, slots=True)
class Settled:
    """What to write, and what to publish once it is written."""

    finish: Finish
    body: bytes | None = None
    """Body for the next hop's queue; None where nothing is to be published."""
    envelope: Envelope | None = None
    """What `body` encodes, for a receiver in this process."""


def checked(value: object, agent: str) -> Outcome:
    """Return what a turn returned if it is an outcome whose texts and facts can be stored.

    Raises:
        OutcomeError: It is none; says what was returned and what is allowed.
        FactsError: Its facts are no JSON.
    """
    if not isinstance(value, Answer | Handoff | Ask):
        seen = "None (is a `return` missing?)" if value is None else f"{type(value).__name__}"
        raise OutcomeError(f"agent {agent!r} returned {seen}; a turn returns Answer(…), Handoff(…) or Ask(…)")
    try:
        if isinstance(value, Answer):
            codec.checked_text(value.text, field="Answer.text", limit_bytes=codec.ITEM_LIMIT_BYTES)
            return replace(value, data=_checked_data(value.data))
        if isinstance(value, Ask):
            _check_ask(value)
        else:
            _check_handoff(value)
    except RequestError as error:
        raise OutcomeError(f"agent {agent!r} returned an outcome whose {error}") from error
    if value.facts is None:
        return value
    facts = dict(value.facts) if isinstance(value.facts, Mapping) else value.facts
    return replace(value, facts=codec.checked_facts(facts))


def settle(context: HopContext, outcome: Outcome | Routed) -> Settled:
    """Turn what a turn decided into rows and the next envelope.

    Raises:
        OutcomeError: A handoff's transfer cannot be done.
        FactsError: The facts are too large, or not what the target needs.
    """
    if isinstance(outcome, Answer):
        return _answer(context, outcome)
    if isinstance(outcome, Ask):
        return _ask(context, outcome)
    if isinstance(outcome, Routed):
        return _routed(context, outcome)
    return _handoff(context, outcome)


def settle_error(context: HopContext, error: BaseException, delay_s: float) -> Settled:
    """Turn what a turn raised into a retry, a hop to the fallback, or the end of the run."""
    agent = context.envelope.agent
    verdict = retry.after_error(error, agent, context.attempt, context.max_attempts, delay_s)
    if isinstance(verdict, retry.Fallback):
        stopped = guards.Stopped(verdict.error.code, verdict.error.message, verdict.error.details)
        return to_fallback(context, stopped)
    if isinstance(verdict, retry.Fail):
        return failed(context, verdict.error)
    timing = {"delay_s": round(verdict.delay_s, 3), "attempt": context.attempt, "since": context.claimed_at}
    return Settled(
        Finish(
            context.lease,
            "pending",
            error=verdict.error,
            retry_in_s=verdict.delay_s,
            events=(NewEvent("retry", context.lease.seq, {**timing, **_told(verdict.error)}),),
        )
    )


def suspend(context: HopContext, wait: NewWait) -> Settled:
    """Let the hop stand still until a person answers `wait`; it then replays its steps."""
    seen = {"kind": wait.kind, "prompt": wait.prompt, "wait_id": wait.wait_id, "since": context.claimed_at}
    event = NewEvent("wait", context.lease.seq, seen)
    return Settled(Finish(context.lease, "waiting", is_attempt=False, wait=wait, events=(event,)))


def hand_back(lease: Lease, *, since: float, delay_s: float = 0.0, reason: str = "") -> Settled:
    """Give a hop up unfinished, claimed at `since`, so that any replica can take it after `delay_s` seconds."""
    seen = {"since": since, "reason": reason} if reason else {"since": since}
    event = NewEvent("handed_back", lease.seq, seen)
    return Settled(Finish(lease, "pending", retry_in_s=delay_s, is_attempt=False, events=(event,)))


def failed(context: HopContext, error: Failure, *before: NewEvent) -> Settled:
    """End the run as failed; `before` are events that lead up to it."""
    lease = context.lease
    return Settled(
        Finish(
            lease,
            "failed",
            error=error,
            end=RunEnd("failed", context.envelope.agent, error=error),
            events=(*before, NewEvent("failed", lease.seq, _told(error))),
        )
    )


def to_fallback(context: HopContext, stopped: guards.Stopped) -> Settled:
    """Send a run that a guard stopped to the team's fallback; without one it fails and says why."""
    envelope, graph = context.envelope, context.graph
    error = Failure(code=stopped.code, message=stopped.message, agent=envelope.agent, details=stopped.details)
    target = graph.fallback
    looped = any(entry.did == "fallback" for entry in envelope.trail) and target != guards.HUMAN
    unfit = target is None or target == envelope.agent or not graph.is_reachable(target) or looped
    if unfit or guards.over_hop_limit(envelope, str(target)):
        return failed(context, error)
    step = NextStep(
        to=str(target),
        kind="handoff",
        did="fallback",
        reason=stopped.message,
        facts=context.facts,
        messages=context.log,
        guard=guards.advance(envelope.guard, None, is_new=context.has_new_steps),
    )
    return _moved(context, step, NewEvent("stopped", context.lease.seq, _told(error)))


def _answer(context: HopContext, answer: Answer) -> Settled:
    envelope, seq = context.envelope, context.lease.seq
    return Settled(
        Finish(
            context.lease,
            "done",
            outcome={"did": "answer", "text": answer.text[:200]},
            messages=(NewMessage("agent", envelope.agent, answer.text, answer.data),),
            active_agent="" if answer.release else envelope.agent,
            end=RunEnd("completed", envelope.agent, answer.text, answer.data),
            events=(NewEvent("answer", seq, {"agent": envelope.agent}),),
        )
    )


def _ask(context: HopContext, ask: Ask) -> Settled:
    envelope, seq = context.envelope, context.lease.seq
    facts = codec.merge_facts(context.facts, dict(ask.facts or {}))
    position = context.log_length
    question = Message(position=position, role="agent", name=envelope.agent, text=ask.question)
    messages = (*envelope.messages, question)
    step = NextStep(
        to=envelope.agent,
        kind="reply",
        did="ask",
        reason=ask.question[:200],
        facts=facts,
        messages=messages,
        guard=guards.advance(envelope.guard, ask.facts, is_new=context.has_new_steps),
        summary=envelope.summary,
        skill=envelope.skill,
    )
    hop, _, _ = next_hop(context, step, log_length=position + 1, status="waiting")
    wait = NewWait(
        wait_id=ids.new_id(),
        seq=hop.seq,
        kind="user",
        agent=envelope.agent,
        prompt=ask.question,
        options=tuple(map(str, ask.options or ())),
        deadline_s=ask.deadline_s,
        on_timeout=ask.on_timeout,
    )
    return Settled(
        Finish(
            context.lease,
            "done",
            outcome={"did": "ask", "text": ask.question[:200]},
            messages=(NewMessage("agent", envelope.agent, ask.question),),
            facts=facts if ask.facts else None,
            active_agent=envelope.agent,
            next=hop,
            wait=wait,
            events=(NewEvent("ask", seq, {"agent": envelope.agent, "wait_id": wait.wait_id}),),
        )
    )


def target_of(handoff: Handoff) -> str:
    """Return the name of whom a handoff is for."""
    return handoff.to if isinstance(handoff.to, str) else getattr(handoff.to, "name", repr(handoff.to))


def _handoff(context: HopContext, handoff: Handoff) -> Settled:
    envelope = context.envelope
    target = target_of(handoff)
    facts = codec.merge_facts(context.facts, dict(handoff.facts or {}))
    guard = guards.advance(envelope.guard, handoff.facts, is_new=context.has_new_steps)
    stopped = (
        guards.refused(context.graph, envelope.agent, target)
        or guards.over_budget(envelope)
        or guards.no_progress(envelope, target, guard.progress)
    )
    if stopped:
        return to_fallback(context, stopped)
    if limit := guards.over_hop_limit(envelope, target):
        return failed(context, _failure(limit, envelope.agent))
    check_needs(context.needs, target, facts)
    step = NextStep(
        to=target,
        kind="route" if target == guards.ROUTER else "handoff",
        did="handoff",
        reason=handoff.reason,
        facts=facts,
        messages=transfer.select(context.log, handoff.transfer, handoff.summary),
        guard=guard,
        summary=handoff.summary,
    )
    return _moved(context, step, changed_facts=facts if handoff.facts else None)


def _routed(context: HopContext, routed: Routed) -> Settled:
    envelope = context.envelope
    event = NewEvent("routed", context.lease.seq, routed.stored())
    if routed.agent is None:
        details = {"scores": dict(routed.decision.scores)} if routed.decision else {}
        code = "no_agent" if routed.decision else "unknown_agent"
        failure = Failure(code=code, message=routed.reason, agent=guards.ROUTER, details=details)
        return failed(context, failure, event)
    if limit := guards.over_hop_limit(envelope, routed.agent):
        return failed(context, _failure(limit, envelope.agent))
    step = NextStep(
        to=routed.agent,
        kind="handoff",
        did=routed.how,
        reason=routed.reason,
        facts=context.facts,
        messages=context.log,
        guard=envelope.guard,
        skill=routed.skill,
        shift=routed.shift,
    )
    return _moved(context, step, event)


def _moved(
    context: HopContext, step: NextStep, *events: NewEvent, changed_facts: dict[str, Any] | None = None
) -> Settled:
    """Return the rows of a hop whose control goes to another agent, or to a person."""
    is_human = step.to == guards.HUMAN
    hop, body, following = next_hop(
        context, step, log_length=context.log_length, status="waiting" if is_human else "pending"
    )
    wait = NewWait(ids.new_id(), hop.seq, "human", guards.HUMAN, step.reason) if is_human else None
    outcome = {"did": step.did, "to": step.to, "reason": step.reason, "messages": len(step.messages)}
    crossing = {**outcome, "of": context.log_length, "bytes": len(body), "facts": sorted(step.facts)}
    return Settled(
        Finish(
            context.lease,
            "done",
            outcome=outcome,
            facts=changed_facts,
            active_agent="" if step.did == "handoff" and step.to == guards.ROUTER else None,
            next=hop,
            wait=wait,
            events=(
                *events,
                NewEvent("handoff", context.lease.seq, {"from": context.envelope.agent, **crossing}),
            ),
        ),
        None if is_human else body,
        following,
    )


def check_needs(needs: Mapping[str, type[BaseModel]], target: str, facts: Mapping[str, Any]) -> None:
    """Make sure that facts are what a target needs, as far as this process knows.

    Raises:
        FactsError: They are not; says what lacks.
    """
    model = needs.get(target)
    if model is None:
        return
    try:
        model.model_validate(facts)
    except ValidationError as error:
        lacking = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'facts'}: {one['msg']}" for one in error.errors(include_url=False)
        )
        raise FactsError(f"{target!r} needs facts that satisfy {model.__name__}: {lacking}") from error


def _check_ask(ask: Ask) -> None:
    codec.checked_text(ask.question, field="Ask.question")
    if ask.options is not None and not isinstance(ask.options, list | tuple):
        raise OutcomeError(f"Ask.options is {ask.options!r}; a list of texts, or None")
    for option in ask.options or ():
        codec.checked_text(str(option), field="Ask.options")
    codec.checked_seconds(ask.deadline_s, field="Ask.deadline_s")
    if ask.on_timeout not in ("fail", "escalate"):
        raise OutcomeError(f'Ask.on_timeout is {ask.on_timeout!r}; allowed are "fail" and "escalate"')


def _check_handoff(handoff: Handoff) -> None:
    if handoff.reason != "":
        codec.checked_text(handoff.reason, field="Handoff.reason")
    if handoff.summary is not None:
        codec.checked_text(handoff.summary, field="Handoff.summary", limit_bytes=codec.ITEM_LIMIT_BYTES)


def _checked_data(data: object) -> Any:
    if data is None:
        return None
    try:
        plain = codec.plain(data)
    except ValueError as error:
        raise OutcomeError(f"Answer.data is {error}; allowed are JSON values") from error
    size_bytes = len(codec.encode(plain))
    if size_bytes > codec.ITEM_LIMIT_BYTES:
        raise OutcomeError(f"Answer.data has {size_bytes} bytes; at most {codec.ITEM_LIMIT_BYTES} are allowed")
    return plain


def _failure(stopped: guards.Stopped, agent: str) -> Failure:
    return Failure(code=stopped.code, message=stopped.message, agent=agent, details=stopped.details)


def _told(error: Failure) -> dict[str, Any]:
    return {"code": error.code, "message": error.message}
