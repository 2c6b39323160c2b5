"""`baton journal migrate` and `prune`: the journal's schema and its age.

In: the environment. Out: a schema of this library's version; fewer old runs.
"""

import asyncio
import os
from typing import Annotated

import typer

from baton.cli import exits, opening, values
from baton.cli.options import JSON
from baton.cli.printing import counted, say, say_json, seconds
from baton.cli.progress import progress
from baton.config import Settings
from baton.journal.contract import Journal

BATCH = 500
"""Runs deleted at a time; the bar moves on after each."""
_OLDER = Annotated[
    float,
    typer.Option(
        "--older-than", parser=values.duration_s, metavar="DURATION", help="Runs that ended so long ago: 30d, 12h."
    ),
]


def register(app: typer.Typer) -> None:
    """Add `journal` and its commands."""
    journal_app = typer.Typer(help="Keep the journal in order.", no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(journal_app, name="journal")
    exits.add(journal_app, "migrate", migrate)
    exits.add(journal_app, "prune", prune)


async def migrate(json: JSON = False) -> int:
    """Make the journal's tables in PostgreSQL, or bring them up to date. Needs the right to create them."""
    url = Settings.from_env(os.environ).journal_url
    if not url.startswith("postgresql://"):
        return _told(None, None, json=json, where="a SQLite journal makes its tables itself")
    from baton.journal.postgres import schema

    with progress("migrating"):
        before, now = await asyncio.to_thread(schema.migrate, url)
    return _told(before, now, json=json, where=schema.place_of(url))


def _told(before: str | None, now: str | None, *, json: bool, where: str) -> int:
    if json:
        say_json({"before": before, "now": now, "changed": before != now})
    elif now is None:
        say(f"nothing to do: {where}")
    elif before == now:
        say(f"nothing to do: the journal in {where} has version {now}")
    else:
        say(f"the journal in {where} has version {now} now" + (f", {before} before" if before else ""))
    return exits.DONE


async def prune(
    older_than_s: _OLDER,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    json: JSON = False,
) -> int:
    """Delete runs that ended long ago; their idempotency keys stay. May run beside the serving processes."""
    async with opening.opened() as at:
        count = await at.journal.prune(older_than_s=older_than_s, is_dry=True)
        if not dry_run:
            count = await _prune(at.journal, older_than_s, count)
    if json:
        say_json({"runs": count, "older_than_s": older_than_s, "dry_run": dry_run})
    else:
        verb = "would be deleted" if dry_run else "deleted"
        say(f"{counted(count, 'run')} {verb}: ended more than {seconds(older_than_s)} ago")
    return exits.DONE


async def _prune(journal: Journal, older_than_s: float, count: int) -> int:
    total = 0
    with progress("pruning", count) as step:
        while gone := await journal.prune(older_than_s=older_than_s, is_dry=False, limit=BATCH):
            total += gone
            for _ in range(gone):
                step()
    return total
