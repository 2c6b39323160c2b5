"""`baton label`, `eval export` and `eval replay`: the router's decisions on real traffic, corrected and made again.

In: stored decisions, people's labels, today's cards. Out: rows that `baton eval routing` reads; what would change.
"""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from baton import codec
from baton.cli import exits, opening, printing, routing
from baton.cli.options import JSON, RUN, since
from baton.cli.printing import counted, fields, heading, say, say_json, seconds, share, table
from baton.cli.progress import progress
from baton.cli.sending import login
from baton.cli.traffic import Replayed, meant, row
from baton.errors import RequestError
from baton.journal.contract import Journal
from baton.journal.views import NOBODY, DecisionFilter, DecisionView
from baton.protocol import route as rules
from baton.routing.stored_threshold import applied

_WEEK_S = 7 * 86_400.0
_NAME_BYTES = 200
_SINCE = Annotated[float, since("7 d")]


def register(eval_app: typer.Typer) -> None:
    """Add `export` and `replay` to the commands of `eval`."""
    exits.add(eval_app, "export", export)
    exits.add(eval_app, "replay", replay)


def register_label(app: typer.Typer) -> None:
    """Add `label` to the commands."""
    exits.add(app, "label", label)


async def label(
    run: RUN,
    agent: Annotated[str, typer.Argument(metavar="AGENT", help="An agent, `human`, or `nobody`: it was for none.")],
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who says so; the login name if not given.")
    ] = None,
    json: JSON = False,
) -> int:
    """Say which agent a run's request should have gone to; what is said later counts.

    Changes nothing for the run. `baton eval export` writes it out, `baton eval replay` counts by it.
    """
    name = login() if by is None else codec.checked_text(by, field="--by", limit_bytes=_NAME_BYTES)
    async with opening.opened() as at:
        written = await at.journal.label(run, agent, by=name)
    if json:
        say_json(written)
    else:
        say(f"run {written.run_id} was for {written.agent}, says {printing.clean(written.labelled_by)}")
    return exits.DONE


async def export(
    since_s: _SINCE = _WEEK_S,
    labelled: Annotated[bool, typer.Option("--labelled", help="Only what a person has labelled.")] = False,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write there; else to standard output.")
    ] = None,
) -> int:
    """Write requests with the agent they were for, one JSON object a line, as `baton eval routing` reads them.

    The agent is the one that a person has said with `baton label`, else the one that the classifier surely chose.
    What was for nobody, or for a person, has agent and intent `oos`: out of scope. What is neither labelled nor
    surely chosen (the fallback's, a follow-up's, an addressed request's) is left out.
    """
    seen = written = by_hand = 0
    async with opening.opened() as at:
        with progress("exporting"), _lines(output) as write:
            async for decision in decisions(at.journal, DecisionFilter(since_s=since_s, is_labelled=labelled)):
                seen += 1
                if (found := row(decision)) is not None:
                    written += 1
                    by_hand += meant(decision) is not None
                    write(codec.encode(found).decode())
    where = "" if output is None else f" to {str(output)!r}"
    left = f"; {counted(seen - written, 'request')} left out" if seen > written else ""
    printing.tell(f"{counted(written, 'row')} written{where}, {by_hand:,} of them labelled{left}")
    return exits.DONE


async def replay(
    target: Annotated[str | None, typer.Argument(metavar="[TARGET]", help="A team; else as for `baton route`.")] = None,
    since_s: _SINCE = _WEEK_S,
    json: JSON = False,
) -> int:
    """Decide stored requests again, with today's cards and classifier, and show what would change.

    Each is taken as the first of a conversation. Requests that named an agent, follow-ups that stayed with theirs, and
    what a rule or a language model decided are not decided again. `nobody`: the classifier was not sure, and the
    fallback had it.
    """
    cards = await routing.cards_of(target)
    routable = rules.routable(cards.graph.cards)
    replayed = Replayed()

    def decide(text: str) -> str:
        return applied(cards.classifier.classify(text, routable), cards.graph.threshold).agent or NOBODY

    async with opening.opened() as at:
        with progress("deciding again") as step:
            async for decision in decisions(at.journal, DecisionFilter(since_s=since_s)):
                replayed.add(decision, decide)
                step()
    if json:
        say_json({"since_s": since_s, "cards": cards.source, **replayed.as_json()})
    else:
        _show(replayed, since_s=since_s, cards=cards)
    return exits.DONE


def _show(replayed: Replayed, *, since_s: float, cards: routing.Cards) -> None:
    left = replayed.seen - replayed.redecided
    then, now = (share(right, replayed.labelled) for right in (replayed.right_then, replayed.right_now))
    fields(
        {
            "requests": f"{replayed.seen:,} in {seconds(since_s)}"
            + (f", {left:,} not the classifier's, not decided again" if left else ""),
            "cards": f"{len(cards.graph.cards)} of {cards.source}",
            "would change": share(replayed.changed, replayed.redecided),
            "right then": f"{then} that a person has labelled" if replayed.labelled else None,
            "right now": now if replayed.labelled else None,
        }
    )
    if replayed.changes:
        heading("Changes")
        rows = [
            [change.was, change.now, f"{change.count:,}", change.run_id, change.text] for change in replayed.by_count()
        ]
        table(["from", "to", "requests", "for example", "which says"], rows, right={"requests"})


async def decisions(journal: Journal, wanted: DecisionFilter) -> AsyncIterator[DecisionView]:
    """Yield stored decisions, read page by page."""
    while page := await journal.decisions(wanted):
        for decision in page:
            yield decision
        wanted = wanted.model_copy(update={"after": page[-1].run_id})


@contextlib.contextmanager
def _lines(output: Path | None) -> Iterator[Callable[[str], object]]:
    """Give what writes a line to a file, made new, or to standard output.

    Raises:
        RequestError: The file cannot be written.
    """
    if output is None:
        yield say
        return
    try:
        with output.open("w", encoding="utf-8") as file:
            yield lambda line: file.write(line + "\n")
    except OSError as error:
        raise RequestError(f"{str(output)!r} cannot be written: {error.strerror}", code="bad_file") from error
