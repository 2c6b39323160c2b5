"""`baton config` and `doctor`: whether an installation is in order.

In: the environment, the journal and the broker. Out: settings and checks.
"""

import os

import typer

from baton.cli import doctor, exits
from baton.cli.options import JSON
from baton.cli.printing import say_json, table
from baton.config import PREFIX, Settings


def register(app: typer.Typer) -> None:
    """Add `config` and `doctor` to the commands."""
    exits.add(app, "config", config)
    exits.add(app, "doctor", examine)


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
