"""`baton eval`, and `baton label` for it: how good routing and recognition are.

In: the parts that have its commands. Out: the group of commands.
"""

import typer

from baton.cli import calibrating, eval_traffic, evaluating


def register(app: typer.Typer) -> None:
    """Add `eval` with its commands, and `label`."""
    eval_app = typer.Typer(help="Measure routing and recognition.", no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(eval_app, name="eval")
    evaluating.register(eval_app)
    eval_traffic.register(eval_app)
    calibrating.register(eval_app)
    eval_traffic.register_label(app)
