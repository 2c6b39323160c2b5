"""`baton send`, `reply` and `cancel`: what changes runs from another process than the serving one.

In: texts, files of requests, answers. Out: how the runs stand, and an exit code for it.
"""

import getpass
from typing import Annotated, Literal

import typer

from baton.cli import account, exits, jsonl, opening, printing, run_page, values
from baton.cli import sending_remote as remote
from baton.cli.opening import Opened
from baton.cli.options import FACTS, JSON, RUN, TIMEOUT, TIMEOUT_S, TO, WAIT
from baton.cli.printing import say, say_json, tell
from baton.cli.sending_files import Defaults, send_file
from baton.errors import NobodyServesError, RequestError, ResultTimeoutError

TEXT = Annotated[str | None, typer.Argument(metavar="TEXT", help="The request; - reads it from standard input.")]
FILE = Annotated[
    str | None,
    typer.Option("--file", metavar="F.jsonl", help="Requests as JSON objects, one a line; - is standard input."),
]
CONVERSATION = Annotated[str | None, typer.Option("--conversation", metavar="ID", help="The dialogue it belongs to.")]
DEADLINE = Annotated[
    float | None,
    typer.Option("--deadline", parser=values.duration_s, metavar="DURATION", help="How long the run may take."),
]
KEY = Annotated[
    str | None, typer.Option("--key", metavar="KEY", help="Sending again under the same key is the same run.")
]
REPLY = Annotated[str | None, typer.Argument(metavar="TEXT", help="The reply; - reads it from standard input.")]
BY = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who answers; the login name if not given.")]
REASON = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; the agent and the trail are told.")]


def register(app: typer.Typer) -> None:
    """Add `send`, `reply` and `cancel` to the commands."""
    exits.add(app, "send", send)
    exits.add(app, "reply", reply)
    exits.add(app, "cancel", cancel)


async def send(
    text: TEXT = None,
    file: FILE = None,
    to: TO = None,
    facts: FACTS = None,
    conversation: CONVERSATION = None,
    deadline_s: DEADLINE = None,
    key: KEY = None,
    wait: WAIT = True,
    timeout_s: TIMEOUT = TIMEOUT_S,
    json: JSON = False,
) -> int:
    """Send a request, or a file of requests, and wait for the results.

    Of a file, the options say what lines that do not say it themselves get. Lines that are no request
    are named, the others are sent, and the exit code is 2 in the end. With BATON_BROKER_URL=amqp://… no
    journal is needed; what is sent without waiting is told by its key, under which it can be sent again.
    """
    defaults = Defaults(values.facts_of(facts or ()), to, conversation, deadline_s)
    _check_usage(text, file, key)
    if remote.is_wanted():
        limit_s = timeout_s if wait else None
        if file is not None:
            return await remote.send_file(file, defaults, timeout_s=limit_s, as_json=json)
        return await remote.send(_given(text), defaults, key=key, timeout_s=limit_s, as_json=json)
    async with opening.opened(makes=not wait, needs_server=wait) as at:
        if file is not None:
            return await send_file(at, file, defaults, timeout_s=timeout_s if wait else None, as_json=json)
        sent = await at.client.send(_given(text), idempotency_key=key, **defaults.fields())
        if not sent.is_new:
            tell(f"the key {key!r} is known: this is run {sent.run_id}, nothing was sent again")
        if not wait:
            return await _recorded(at, sent.run_id, as_json=json)
        return await _outcome(at, sent.run_id, timeout_s=timeout_s, as_json=json)


async def reply(
    run: RUN,
    text: REPLY = None,
    approve: Annotated[bool, typer.Option("--approve", help="Grant what the run waits for.")] = False,
    reject: Annotated[bool, typer.Option("--reject", help="Refuse it.")] = False,
    handoff: Annotated[
        str | None, typer.Option("--handoff", metavar="AGENT", help="Give a run that a person has to this agent.")
    ] = None,
    reason: REASON = "",
    by: BY = None,
    wait: WAIT = True,
    timeout_s: TIMEOUT = TIMEOUT_S,
    json: JSON = False,
) -> int:
    """Answer what a run waits for; the first answer counts.

    A question to the user takes TEXT; an approval --approve or --reject; a run at the desk TEXT,
    --handoff or --reject; a review --approve, --reject, or TEXT as the step's result.
    """
    _check_reply(text, approve=approve, reject=reject, handoff=handoff)
    given = None if text is None else _given(text)
    if given is not None and by is None and not reason and remote.takes(run):
        return await remote.reply(run, given, timeout_s=timeout_s if wait else None, as_json=json)
    decision: Literal["approve", "reject"] | None = "approve" if approve else "reject" if reject else None
    async with opening.opened() as at:
        run_id = (await at.journal.run(run)).run_id
        await at.client.reply(run_id, given, decision=decision, handoff=handoff, reason=reason, by=by or login())
        if not wait:
            return await _recorded(at, run_id, as_json=json)
        return await _outcome(at, run_id, timeout_s=timeout_s, as_json=json)


async def cancel(run: RUN, reason: REASON = "", by: BY = None, json: JSON = False) -> int:
    """End a run; one that an agent works on ends at the agent's next write."""
    if by is None and remote.takes(run):
        return _cancelled(run, await remote.cancel(run, reason=reason) or "running", as_json=json)
    async with opening.opened() as at:
        run_id = (await at.journal.run(run)).run_id
        replied = await at.client.cancel(run_id, by=by or login(), reason=reason)
        return _cancelled(run_id, replied.status, as_json=json)


def _cancelled(run_id: str, status: str, *, as_json: bool) -> int:
    """Tell how a run stands after a cancel."""
    _check_cancelled(run_id, status)
    if as_json:
        say_json({"run_id": run_id, "status": status})
    elif status == "cancelled":
        say(f"run {run_id} is cancelled")
    else:
        say(f"run {run_id} ends at its agent's next write")
    return exits.DONE


async def _recorded(at: Opened, run_id: str, *, as_json: bool) -> int:
    """Tell how a run stands without waiting for it."""
    result = await at.journal.result(run_id)
    if as_json:
        say_json(result)
    else:
        say(run_id)
    if not result.has_ended and not at.is_served:
        tell(f"recorded; nobody serves the {opening.shown(at.journal)} now: the run goes on when somebody does")
    return exits.DONE


async def _outcome(at: Opened, run_id: str, *, timeout_s: float, as_json: bool) -> int:
    """Wait for a run to end or to wait for somebody, and show it."""
    result = await at.journal.result(run_id)
    if not result.has_ended and not at.is_served:
        raise NobodyServesError(
            f"run {run_id} goes on when somebody serves the {opening.shown(at.journal)}; now nobody does"
        )
    try:
        result = await at.client.result(run_id, timeout_s=timeout_s)
    except ResultTimeoutError as error:
        if not at.is_served:
            tell(f"nobody serves the {opening.shown(at.journal)} any more")
        raise error from None
    if as_json:
        say_json(result)
        return exits.code_for(result)
    seen = await account.read(at.journal, await at.journal.run(run_id))
    printing.fields(
        {
            "run": run_id,
            "status": run_page.status(seen),
            "trail": seen.trail,
            "answer": result.text,
            "error": f"{result.error.code}: {result.error.message}" if result.error else None,
            **run_page.waiting(seen),
        }
    )
    return exits.code_for(result)


def _given(text: str | None) -> str:
    """Return a text as it was given, or from standard input."""
    return jsonl.read_text("-") if text == "-" else text or ""


def _check_usage(text: str | None, file: str | None, key: str | None) -> None:
    if (text is None) == (file is None):
        raise typer.BadParameter("give TEXT, or --file, one of them")
    if file is not None and key is not None:
        raise typer.BadParameter("--key names one request; it does not go with --file")


def _check_reply(text: str | None, *, approve: bool, reject: bool, handoff: str | None) -> None:
    given = [text is not None, approve, reject, handoff is not None]
    if sum(given) != 1:
        raise typer.BadParameter("give one of TEXT, --approve, --reject and --handoff AGENT")


def _check_cancelled(run_id: str, status: str) -> None:
    if status in ("completed", "failed"):
        raise RequestError(f"run {run_id} is {status}; a cancel needs a run that has not ended", code="not_open")


def login() -> str:
    """Return who works at this terminal."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "user"
