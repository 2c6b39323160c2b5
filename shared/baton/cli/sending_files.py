"""`baton send --file`: many requests as one batch, results in the order of the lines.

In: a file of JSON lines. Out: one line for each request, and the bad lines on standard error.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from baton import ids
from baton.cli import exits, flow, jsonl
from baton.cli.jsonl import BadLine, Line
from baton.cli.opening import Opened
from baton.cli.printing import counted, one_line, say, say_json, tell
from baton.cli.progress import progress
from baton.errors import RequestError, ResultTimeoutError
from baton.request import Request, Result

if TYPE_CHECKING:
    from baton.remote import RequestFields


@dataclass(frozen=True, slots=True)
class Defaults:
    """What a request gets that does not say it itself."""

    facts: Mapping[str, Any] = field(default_factory=dict)
    to: str | None = None
    conversation_id: str | None = None
    deadline_s: float | None = None

    def fields(self) -> dict[str, Any]:
        """Return what `Client.send` takes."""
        given = {"to": self.to, "conversation_id": self.conversation_id, "deadline_s": self.deadline_s}
        return {"facts": dict(self.facts), **given}

    def request(self) -> "RequestFields":
        """Return what `RemoteClient.send` takes."""
        return {
            "facts": self.facts,
            "to": self.to,
            "conversation_id": self.conversation_id,
            "deadline_s": self.deadline_s,
        }

    def under(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of a line with these under them."""
        facts = fields.get("facts", {})
        both = {**self.facts, **facts} if isinstance(facts, dict) else facts
        return {**{name: value for name, value in self.fields().items() if value is not None}, **fields, "facts": both}


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one line."""

    number: int
    run_id: str | None
    """Or, of one that was only published, the key that it was published under."""
    result: Result | None
    error: RequestError | ResultTimeoutError | None = None


async def send_file(at: Opened, path: str, defaults: Defaults, *, timeout_s: float | None, as_json: bool) -> int:
    """Send the requests of a file; return the exit code.

    Args:
        at: The journal to send to.
        path: The file, or `-`.
        defaults: What lines get that do not say it themselves.
        timeout_s: Seconds to wait for each result; None: only record.
        as_json: True: results as JSON.
    """
    batch = ids.new_id()

    async def send_line(line: Line) -> Sent:
        run_id = None
        try:
            run = await at.client.send(batch=batch, **line.fields)
            run_id = run.run_id
            result = await (at.journal.result(run_id) if timeout_s is None else run.result(timeout_s=timeout_s))
        except (RequestError, ResultTimeoutError) as error:
            return Sent(line.number, run_id, None, error)
        return Sent(line.number, run_id, result)

    return await send_lines(path, defaults, send_line, as_json=as_json, batch=batch)


async def send_lines(
    path: str,
    defaults: Defaults,
    send_line: Callable[[Line], Awaitable[Sent]],
    *,
    as_json: bool,
    batch: str | None = None,
) -> int:
    """Send each line of a file that is a request; return the exit code.

    Args:
        path: The file, or `-`.
        defaults: What lines get that do not say it themselves.
        send_line: Sends one.
        as_json: True: results as JSON.
        batch: What the runs are grouped under, if they are.
    """
    lines, bad_count = _checked(path, defaults)
    done: Counter[str] = Counter()
    sending = flow.in_order(lines, send_line, lane=lambda line: line.fields.get("conversation_id"))
    with progress("sending", len(lines), prints_lines=True) as advance:
        async with aclosing(sending):
            async for sent in sending:
                done[_show(sent, as_json=as_json)] += 1
                advance()
    bad_count += done["rejected"]
    stood = ", ".join(f"{count:,} {status}" for status, count in sorted(done.items()))
    named = f"; batch {batch}" if batch else ""
    tell(f"{counted(len(lines), 'request')}: {stood or 'none'}; {counted(bad_count, 'bad line')}{named}")
    return _code(done, bad_count)


def _checked(path: str, defaults: Defaults) -> tuple[list[Line], int]:
    """Return the lines that are requests, and how many are not; those are named."""
    lines: list[Line] = []
    bad: list[BadLine] = []
    for found in jsonl.read(path):
        try:
            if isinstance(found, Line):
                request = Request.of(defaults.under(found.fields))
                lines.append(Line(found.number, request.model_dump(exclude_none=True)))
            else:
                bad.append(found)
        except RequestError as error:
            bad.append(BadLine(found.number, str(error)))
    for one in bad:
        tell(one_line(str(one)))
    return lines, len(bad)


def _show(sent: Sent, *, as_json: bool) -> str:
    """Print what became of a line; return it in a word."""
    if sent.result is None and sent.error is None:
        if as_json:
            say_json({"line": sent.number, "key": sent.run_id})
        else:
            say(f"{sent.number:>5}  {sent.run_id}")
        return "published"
    if sent.result is None:
        status = "timed out" if isinstance(sent.error, ResultTimeoutError) else "rejected"
        tell(one_line(f"line {sent.number}: {sent.error}"))
        return status
    result = sent.result
    if as_json:
        say_json({"line": sent.number, **result.model_dump(mode="json")})
    else:
        error = f"{result.error.code}: {result.error.message}" if result.error else ""
        text = result.text or error or (result.question.question if result.question else "")
        say(f"{sent.number:>5}  {sent.run_id}  {result.status:<9}  {result.agent or '':<10}  {one_line(text)}".rstrip())
    return result.status


def _code(done: Mapping[str, int], bad_count: int) -> int:
    if bad_count:
        return exits.BAD_USAGE
    if done.get("timed out"):
        return exits.NO_RESULT
    return exits.FAILED if done.get("failed") or done.get("cancelled") else exits.DONE
