"""`baton show`: one run on one page.

In: an account. Out: lines, or one JSON object.
"""

from dataclasses import asdict
from typing import Any

from baton import codec
from baton.cli import printing, timeline, trail
from baton.cli.account import Account
from baton.cli.crossing import Crossing, crossings
from baton.cli.printing import clean, counted, fields, heading, say, seconds, shortened, sized, table
from baton.envelope import Message
from baton.journal.views import HopView

_RESULT_COLUMNS = 48
_MESSAGE_COLUMNS = 60


def as_json(account: Account) -> dict[str, Any]:
    """Return all that is known of a run."""
    return {
        **account.as_json(),
        "data": account.result.data,
        "label": account.label,
        "facts": account.result.facts,
        "hops": account.hops,
        "messages": account.log,
        "steps": account.steps,
        "waits": account.waits,
        "handoffs": [asdict(one) for one in crossings(account.hops, account.events, account.log)],
        "events": account.events,
    }


def show(account: Account) -> None:
    """Print a run: how it stands, its trail, what crossed each handoff, and all that was recorded."""
    summary(account)
    show_trail(account)
    _routing(account)
    _hops(account)
    _handoffs(account)
    _messages(account)
    _facts(account)
    _steps(account)
    _waits(account)
    show_timeline(account)


def summary(account: Account) -> None:
    """Print how a run stands, and what came of it."""
    run, result = account.run, account.result
    fields(
        {
            "run": run.run_id,
            "status": status(account),
            "request": run.text,
            "route": str(account.route),
            "label": _label(account),
            "answer": result.text,
            "error": f"{run.error.code}: {run.error.message}" if run.error else None,
            **waiting(account),
            "accepted": printing.moment(run.accepted_at),
            "deadline": printing.moment(run.deadline_at) if run.deadline_at and not run.ended_at else None,
            "conversation": run.conversation_id if run.conversation_id != run.run_id else None,
            "batch": run.batch,
            "tenant": run.tenant if run.tenant != "default" else None,
            "redrive of": run.redrive_of,
            "stopping": run.stop if run.ended_at is None else None,
        }
    )


def status(account: Account) -> str:
    """Return a run's status with its agent and how long it took."""
    run, took_s = account.run, account.took_s
    by = {"completed": "by", "queued": "for"}.get(run.status, "at")
    at = f" {by} {run.agent}" if run.agent else ""
    return f"{run.status}{at}" + (f" in {seconds(took_s)}" if took_s is not None else "")


def _label(account: Account) -> str | None:
    said = account.label
    return None if said is None else f"{said.agent}, said {said.labelled_by} at {printing.moment(said.labelled_at)}"


def waiting(account: Account) -> dict[str, str | None]:
    """Return what a run waits for, and the command that answers it."""
    question = account.result.question
    if question is None:
        return {}
    takes = {"approval": "--approve or --reject", "human": "TEXT, --handoff AGENT or --reject"}
    return {
        "waits for": {"user": "its user", "approval": "an approval", "human": "a person"}.get(
            question.kind, f"a {question.kind}"
        ),
        "question": question.question,
        "options": printing.listed(question.options) if question.options else None,
        "until": printing.moment(question.deadline_at) if question.deadline_at else None,
        "answer with": f"baton reply {account.run.run_id} {takes.get(question.kind, 'TEXT')}",
    }


def show_trail(account: Account) -> None:
    """Print who had the run, and what each did and why."""
    heading("Trail")
    lines = trail.told(account)
    width = max((len(agent) for agent, _ in lines), default=0)
    for agent, did in lines:
        say(printing.wrapped(clean(did), first=f"  {agent:<{width}}  "))


def show_timeline(account: Account) -> None:
    """Print the run's events with their times."""
    heading(f"Timeline (seconds after {printing.moment(account.run.accepted_at)})")
    for event in account.events:
        say(timeline.wrapped(event, since=account.run.accepted_at))


def _routing(account: Account) -> None:
    route = account.route
    seen = {"method": route.method, "model": route.model, "runner-up": route.second, "note": route.note}
    if any((route.model, route.second, route.note)):
        heading("Routing")
        fields(seen, indent=2)


def _hops(account: Account) -> None:
    heading("Hops")
    rows = [
        [str(hop.seq), hop.agent, hop.kind, hop.status, str(hop.attempt), _took(hop), hop.owner or ""]
        for hop in account.hops
    ]
    table(
        ["hop", "agent", "kind", "status", "attempts", "took", "last worker"], rows, right={"hop", "attempts", "took"}
    )


def _took(hop: HopView) -> str:
    return seconds(hop.ended_at - hop.started_at) if hop.ended_at and hop.started_at else ""


def _handoffs(account: Account) -> None:
    found = crossings(account.hops, account.events, account.log)
    if not found:
        return
    heading("Handoffs: what the receiver got of the full log")
    for one in found:
        say(f"  {one.sender} → {one.receiver} (hop {one.seq})")
        fields(_crossed(one), indent=4)


def _crossed(one: Crossing) -> dict[str, str | None]:
    got = f"{len(one.received)} of {counted(one.log_length, 'message')}"
    dropped = ", ".join(f"#{position}" for position in one.dropped[:20])
    more = " …" if len(one.dropped) > 20 else ""
    return {
        "messages": f"{got}, {sized(one.received_bytes)} of {sized(one.log_bytes)}",
        "dropped": f"{len(one.dropped)}: {dropped}{more} (turn.history() still gives them)" if one.dropped else None,
        "summary": one.summary,
        "facts kept": printing.listed(one.facts_kept),
        "facts set": printing.listed(one.facts_changed) if one.facts_changed else None,
        "facts lost": printing.listed(one.facts_lost) if one.facts_lost else None,
        "envelope": sized(one.wire_bytes) if one.wire_bytes is not None else None,
    }


def _messages(account: Account) -> None:
    heading(f"Messages (the whole log of the conversation: {len(account.log)})")
    table(["#", "from", "text"], [_message(message) for message in account.log], right={"#"})


def _message(message: Message) -> list[str]:
    data = f" {codec.encode(message.data).decode()}" if message.data is not None else ""
    return [str(message.position), message.name or message.role, message.text + data]


def _facts(account: Account) -> None:
    if account.result.facts:
        heading("Facts (of the conversation, now)")
        fields({name: codec.encode(value).decode() for name, value in account.result.facts.items()}, indent=2)


def _steps(account: Account) -> None:
    if not account.steps:
        return
    heading("Steps (each recorded once, replayed after a crash)")
    rows = [
        [
            str(step.seq),
            step.key,
            step.effect,
            step.status,
            str(step.attempt),
            seconds(step.ended_at - step.started_at) if step.ended_at else "",
            shortened(codec.encode(step.result).decode(), _RESULT_COLUMNS),
        ]
        for step in account.steps
    ]
    table(["hop", "step", "effect", "status", "attempt", "took", "result"], rows, right={"hop", "attempt", "took"})


def _waits(account: Account) -> None:
    if not account.waits:
        return
    heading("Waits")
    rows = [
        [
            str(wait.seq),
            wait.kind,
            wait.status,
            seconds(wait.answered_at - wait.created_at) if wait.answered_at else "",
            shortened(wait.prompt, _MESSAGE_COLUMNS),
        ]
        for wait in account.waits
    ]
    table(["hop", "for", "status", "took", "question"], rows, right={"hop", "took"})
