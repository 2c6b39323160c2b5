"""Arguments and options that several commands have, each said once."""

from typing import Annotated, Any

import typer

from baton.cli import values

RUN = Annotated[str, typer.Argument(metavar="RUN", help="A run id, or a unique beginning of 6 or more digits.")]
TEAM = Annotated[
    str | None,
    typer.Option("--team", metavar="TARGET", help="Take this team's cards; else the journal's, else the desk's."),
]
FACTS = Annotated[
    list[str] | None,
    typer.Option("--facts", metavar="KEY=VALUE|JSON", help="A fact as a string, or a JSON object; repeatable."),
]
TO = Annotated[str | None, typer.Option("--to", metavar="AGENT", help="Send it to this agent, without classifying.")]
WAIT = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the result, or only record.")]
TIMEOUT = Annotated[
    float,
    typer.Option(
        "--timeout",
        parser=values.duration_s,
        metavar="DURATION",
        help="How long to wait: 90, 5m, 2h.",
        show_default="30 s",
    ),
]
TIMEOUT_S = 30.0
"""How long commands wait unless told otherwise."""
JSON = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]


def since(shown: str, *, where: str = "") -> Any:
    """Return the option that says how far to look back.

    Args:
        shown: The default, for a person.
        where: When it counts, as a beginning of its help.
    """
    told = f"{where} of runs accepted within that time: 30m, 12h, 7d.".strip()
    return typer.Option(
        "--since",
        parser=values.duration_s,
        metavar="DURATION",
        help=told[0].upper() + told[1:],
        show_default=shown,
    )
