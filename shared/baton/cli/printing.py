"""What commands print: plain lines, aligned, the same in a pipe but for bold and cut-off texts.

In: strings and values. Out: standard output for what was asked for, standard error for the rest.
"""

import shutil
import sys
import textwrap
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime

from baton import codec

COLUMNS = 100
"""Widest line of prose, and the width that everything is laid out for."""
_LAST_COLUMN_MIN = 12
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), 127, *range(128, 160)) if chr(code) not in "\n\t"}


def say(text: str = "") -> None:
    """Print to standard output."""
    print(text, flush=True)


def tell(text: str) -> None:
    """Print to standard error: what a reader should know and a program should not read."""
    print(text, file=sys.stderr, flush=True)


def say_json(value: object) -> None:
    """Print a value as one line of JSON."""
    say(codec.encode(value).decode())


def heading(text: str) -> None:
    """Print an empty line and a title, bold on a terminal."""
    say()
    _say_bold(text)


def fields(values: Mapping[str, str | None], *, indent: int = 0, names_width: int = 0) -> None:
    """Print names and values, one below the other; long values are wrapped, missing ones left out.

    Args:
        values: What to print.
        indent: Blanks before each name.
        names_width: Columns for the names, where those here are shorter.
    """
    given = {name: value for name, value in values.items() if value}
    label_width = max(names_width, *map(len, given), 0) + 2
    for name, value in given.items():
        say(wrapped(clean(value), first=" " * indent + name.ljust(label_width)))


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()) -> None:
    """Print rows below column names. Only the last column is ever cut off, and only on a terminal."""
    from rich.cells import cell_len, set_cell_size

    lines = [list(columns), *([one_line(cell) for cell in row] for row in rows)]
    widths = [max(cell_len(line[place]) for line in lines) for place in range(len(columns))]
    room = terminal_columns() - sum(widths[:-1]) - 2 * (len(widths) - 1) if is_terminal() else widths[-1]
    widths[-1] = min(widths[-1], max(room, _LAST_COLUMN_MIN))
    for number, line in enumerate(lines):
        line[-1] = shortened(line[-1], widths[-1])
        cells = [
            " " * (width - cell_len(cell)) + cell if name in right else set_cell_size(cell, width)
            for name, cell, width in zip(columns, line, widths, strict=True)
        ]
        (say if number else _say_bold)("  ".join(cells).rstrip())


def wrapped(text: str, *, first: str = "") -> str:
    """Return `text` wrapped at 100 columns; later lines are indented as deep as `first` is long."""
    indent = " " * len(first)
    lines: list[str] = []
    for line in text.splitlines() or [""]:
        lines += textwrap.wrap(line, COLUMNS - len(first), break_long_words=False, break_on_hyphens=False) or [""]
    return "\n".join((indent if number else first) + line for number, line in enumerate(lines)).rstrip()


def shortened(text: str, width: int) -> str:
    """Return `text` on one line, cut off with `…` where it has more than `width` columns."""
    from rich.cells import cell_len, set_cell_size

    line = one_line(text)
    return line if cell_len(line) <= width else set_cell_size(line, width - 1).rstrip() + "…"


def one_line(text: str) -> str:
    """Return `text` with its white space as single blanks, and without control characters."""
    return clean(" ".join(text.split()))


def clean(text: str) -> str:
    """Return `text` with control characters spelled out: what a request says must not steer a terminal."""
    return text.translate(_CONTROLS)


def seconds(duration_s: float) -> str:
    """Return a duration with its unit: `4 ms`, `1.25 s`, `3 min`, `5 h`, `2 d`."""
    if duration_s < 1:
        return f"{max(duration_s, 0) * 1000:.0f} ms"
    for limit_s, unit_s, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if duration_s < limit_s:
            return f"{duration_s / unit_s:.2f} s" if unit == "s" else f"{duration_s / unit_s:.0f} {unit}"
    return f"{duration_s / 86_400:.0f} d"


def moment(at: float) -> str:
    """Return a Unix time as `2025-11-23 08:10:11 UTC`."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def share(part: int, whole: int) -> str:
    """Return `part` of `whole` as a count and a percentage."""
    return f"{part:,} of {whole:,} ({part / whole:.1%})" if whole else f"{part:,} of 0"


def sized(size_bytes: int) -> str:
    """Return a size with its unit: `312 B`, `4.1 KiB`, `12.0 MiB`."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def counted(number: int, noun: str) -> str:
    """Return `1 run`, `2 runs`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(names: Iterable[str], *, none: str = "none") -> str:
    """Return names with commas between."""
    return ", ".join(names) or none


def is_terminal() -> bool:
    """True where a person reads standard output."""
    return sys.stdout.isatty()


def terminal_columns() -> int:
    """Return the terminal's width in columns."""
    return shutil.get_terminal_size((COLUMNS, 24)).columns


def _say_bold(text: str) -> None:
    if not is_terminal():
        say(text)
        return
    from rich.console import Console
    from rich.text import Text

    Console(highlight=False).print(Text(text, style="bold"), soft_wrap=True)
