"""`baton journal prune`, `config` and `doctor`: keeping an installation in order.

In: the environment and the journal. Out: settings, checks, and fewer old runs.
"""

import os
from typing import Annotated

import typer

from baton.cli import doctor, exits, opening, values
from baton.cli.options import JSON
from baton.cli.printing import counted, say, say_json, seconds, table
from baton.cli.progress import progress
from baton.config import PREFIX, Settings

_OLDER = Annotated[
    float,
    typer.Option(
        "--older-than", parser=values.duration_s, metavar="DURATION", help="Runs that ended so long ago: 30d, 12h."
    ),
]


def register(app: typer.Typer) -> None:
    """Add `journal prune`, `config` and `doctor` to the commands."""
    journal_app = typer.Typer(help="Keep the journal in order.", no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(journal_app, name="journal")
    exits.add(journal_app, "prune", prune)
    exits.add(app, "config", config)
    exits.add(app, "doctor", examine)


async def prune(
    older_than_s: _OLDER,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count.")] = False,
    json: JSON = False,
) -> int:
    """Delete runs that ended long ago; their idempotency keys stay. May run beside the serving process."""
    async with opening.opened() as at:
        with progress("pruning"):
            gone = await at.journal.prune(older_than_s=older_than_s, is_dry=dry_run)
    if json:
        say_json({"runs": gone, "older_than_s": older_than_s, "dry_run": dry_run})
    else:
        verb = "would be deleted" if dry_run else "deleted"
        say(f"{counted(gone, 'run')} {verb}: ended more than {seconds(older_than_s)} ago")
    return exits.DONE


async def config(json: JSON = False) -> int:
    """Print the effective settings, passwords masked; all mistakes at once."""
    shown = Settings.from_env(os.environ).shown()
    if json:
        say_json(shown)
        return exits.DONE
    defaults = Settings().shown()
    rows = [[name, "default" if shown[name] == defaults[name] else "set", shown[name]] for name in sorted(shown)]
    table([f"{PREFIX}…", "from", "value"], rows)
    return exits.DONE


async def examine(json: JSON = False) -> int:
    """Check Python, settings, journal and broker, and who serves."""
    found = await doctor.examine(os.environ)
    is_well = all(one.state != "bad" for one in found)
    if json:
        say_json({"well": is_well, "checks": found})
    else:
        table(["check", "state", "found"], [[one.name, one.state, one.found] for one in found])
    return exits.DONE if is_well else exits.BAD_USAGE
