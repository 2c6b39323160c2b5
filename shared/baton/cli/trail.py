"""A run's way in words: hop for hop, what each did and why, with the waits in between.

In: an account. Out: pairs of an agent and what it did.
"""

from baton.cli.account import Account
from baton.journal.views import HopView, WaitView


def told(account: Account) -> list[tuple[str, str]]:
    """Return the agents of a run in order, each with what it did and why."""
    lines: list[tuple[str, str]] = []
    for hop in account.hops:
        waits = [wait for wait in account.waits if wait.seq == hop.seq]
        if hop.kind == "reply":
            lines += [("user", _ended(wait)) for wait in waits]
            if hop.status == "waiting":
                continue
        else:
            lines += [(hop.agent, line) for wait in waits for line in _wait(wait)]
        if (did := _did(hop, account)) and not (hop.agent == "human" and waits):
            lines.append((hop.agent, did))
    return lines


def _did(hop: HopView, account: Account) -> str:
    outcome = hop.outcome or {}
    if hop.error is not None and hop.status != "done":
        return f"{hop.status}: {hop.error.code}: {hop.error.message}"
    if outcome.get("did") == "answer":
        return "answers"
    if outcome.get("did") == "ask":
        return f"asks: {outcome.get('text')}"
    if outcome.get("to"):
        return _moved(hop, account)
    return {"done": "", "waiting": ""}.get(hop.status, hop.status)


def _moved(hop: HopView, account: Account) -> str:
    outcome = hop.outcome or {}
    did, to, reason = outcome.get("did"), outcome["to"], outcome.get("reason") or "no reason given"
    route = account.route
    if hop.seq == 0 and did == "sticky" and route.skill:
        reason += f"; {route.skill}"
    return f"{'hands off' if did == 'handoff' else did} → {to}: {reason}"


def _wait(wait: WaitView) -> list[str]:
    asked = {"approval": "waits for approval", "human": "waits for a person", "review": "waits for a review"}
    return [f"{asked.get(wait.kind, 'waits')}: {wait.prompt}", *([] if wait.status == "waiting" else [_ended(wait)])]


def _ended(wait: WaitView) -> str:
    """Return how a wait ended, or that it has not."""
    answer = wait.answer or {}
    if wait.status == "waiting":
        return "has not replied yet"
    if wait.status != "answered":
        return f"nobody answered: {wait.status}"
    by, reason = answer.get("by", "somebody"), answer.get("reason")
    why = f": {reason}" if reason else ""
    if answer.get("handoff"):
        return f"{by} hands off → {answer['handoff']}{why}"
    if answer.get("decision"):
        return f"{by} {'approves' if answer['decision'] == 'approve' else 'rejects'}{why}"
    return f"{by} replies: {answer.get('text')}"
