"""Progress of long work: a bar on standard error, where that is a terminal, and nothing elsewhere.

In: what is done, and of how many. Out: a function that counts on.
"""

import contextlib
import sys
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def progress(label: str, total_count: int | None = None, *, prints_lines: bool = False) -> Iterator[Callable[[], None]]:
    """Show how far long work is, and clear the line in the end.

    Args:
        label: What is done.
        total_count: How many there are to do; None: unknown, a spinner is shown.
        prints_lines: True: the work prints a line for each; on a terminal these are progress enough.
    """
    if not sys.stderr.isatty() or (prints_lines and sys.stdout.isatty()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    counts = (BarColumn(), MofNCompleteColumn()) if total_count is not None else (SpinnerColumn(),)
    columns = (TextColumn("{task.description}"), *counts, TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(label, total=total_count)
        yield lambda: bar.advance(task)
