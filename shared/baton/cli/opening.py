"""What commands work on: the settings, and the journal that they name.

In: the environment. Out: an open journal with a client, closed when the command ends.
"""

import contextlib
import gc
import io
import logging
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from baton import failpoints
from baton.client import Client
from baton.config import Settings
from baton.errors import ConfigError, NobodyServesError, NotFoundError
from baton.journal.contract import Journal
from baton.journal.sqlite.journal import SqliteJournal
from baton.telemetry import environment, logs
from baton.urls import open_journal


@dataclass(frozen=True, slots=True)
class Opened:
    """An open journal of which this process serves nothing."""

    journal: Journal
    client: Client
    settings: Settings

    @property
    def is_served(self) -> bool:
        """True where a process works on what is recorded, as far as this one can know."""
        return not isinstance(self.journal, SqliteJournal) or self.journal.holder() is not None


@contextlib.asynccontextmanager
async def opened(*, makes: bool = False, needs_server: bool = False) -> AsyncIterator[Opened]:
    """Open the journal that the settings name.

    Args:
        makes: True: make the file if it is not there; else that is an error.
        needs_server: True: it is an error if no process serves it.

    Raises:
        NotFoundError: There is no journal.
        NobodyServesError: Nobody would work on what is sent.
        ConfigError: The settings are wrong.
        JournalError: The file is no journal, damaged, or newer.
    """
    settings = Settings.from_env(os.environ)
    journal = open_journal(settings.journal_url)
    if isinstance(journal, SqliteJournal):
        _check_file(journal, makes=makes, needs_server=needs_server)
    await journal.start(serves=False)
    try:
        yield Opened(journal, Client(journal, settings=settings), settings)
    finally:
        await journal.close()


def _check_file(journal: SqliteJournal, *, makes: bool, needs_server: bool) -> None:
    if needs_server and journal.holder() is None:
        raise NobodyServesError(
            f"nobody serves the {shown(journal)}, so nothing was sent; start `baton run TARGET`, "
            "or record the request for later with --no-wait"
        )
    if not makes and not journal.path.exists():
        raise NotFoundError(f"there is no {shown(journal)} yet; `baton run TARGET` and `baton demo` make one")


def shown(journal: Journal) -> str:
    """Return the journal as messages name it."""
    return f"journal {str(journal.path.resolve())!r}" if isinstance(journal, SqliteJournal) else "journal"


def settings_to_serve() -> Settings:
    """Return the settings, with log, memory and fail points set up for a process that serves.

    Raises:
        ConfigError: The settings, or `OTEL_*`, are wrong.
    """
    settings = checked(os.environ)
    spare_the_collector()
    _log(settings)
    try:
        failpoints.arm(os.environ)
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return settings


def checked(environ: Mapping[str, str]) -> Settings:
    """Return the settings of a process that serves.

    Raises:
        ConfigError: Tells all mistakes at once, those in `OTEL_*`, too.
    """
    problems: list[str] = []
    settings = Settings()
    try:
        settings = Settings.from_env(environ)
    except ConfigError as error:
        problems += error.problems
    try:
        environment.check(environ, has_page=bool(environ.get("BATON_HEALTH_PORT")))
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(problems)
    return settings


def _log(settings: Settings) -> None:
    """Log to standard error, from all libraries."""
    if settings.log_format == "json" and isinstance(sys.stderr, io.TextIOWrapper):
        sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")  # others' escapes are no JSON
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logs.formatter(settings.log_format))
    logging.basicConfig(level=settings.log_level, handlers=[handler])


def spare_the_collector() -> None:
    """Have the garbage collector leave alone what was imported, and look less often at what comes and goes.

    A hop makes few cycles; walking through the modules again and again was a twentieth of its time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
