"""The journal's schema in the database: made and brought up to date by `baton journal migrate`, and by nothing else.

In: the journal's URL. Out: tables and functions of this library's version, or an error that says what to do.
"""

from importlib import resources
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from baton.errors import JournalUnavailableError, JournalVersionError
from baton.journal.postgres.connecting import Connection, schema_of, shown
from baton.journal.postgres.faults import TO_MIGRATE

if TYPE_CHECKING:
    from sqlalchemy import Connection as Migrating
    from sqlalchemy import Engine

VERSION = "0001"
"""The version of the tables and functions that this library works with."""
PACKAGE = "baton.journal.postgres.migrations"
_VERSIONS = "alembic_version"


def place_of(url: str) -> str:
    """Return where the journal of `url` is, for a person."""
    return f"schema {schema_of(url)!r} of {shown(url)!r}"


async def check(connection: Connection, url: str) -> None:
    """Make sure that the schema is this library's.

    Raises:
        JournalVersionError: There is none, or it is of another version; says what to do.
    """
    where = place_of(url)
    if await connection.fetchval("SELECT to_regclass($1)", _VERSIONS) is None:
        raise JournalVersionError(f"there is no journal in {where}; {TO_MIGRATE}")
    found = await connection.fetchval(f"SELECT max(version_num) FROM {_VERSIONS}")
    if found != VERSION:
        to_do = TO_MIGRATE if found is None or found < VERSION else "use the newer Baton"
        raise JournalVersionError(f"the journal in {where} has version {found}; this Baton needs {VERSION}: {to_do}")


def migrate(url: str) -> tuple[str | None, str]:
    """Make the journal's schema, or bring it up to date; safe to call from several processes at once.

    Returns:
        The version before, None where there was no journal, and the version now.

    Raises:
        JournalVersionError: It was written by a newer Baton.
        JournalUnavailableError: The database cannot be reached, or refuses.
    """
    from sqlalchemy import exc

    engine = _engine(url)
    try:
        with engine.begin() as connection:
            return _upgrade(connection, schema_of(url), place_of(url))
    except exc.DBAPIError as error:
        told = str(error.orig).strip().partition("\n")[0]
        raise JournalUnavailableError(f"the journal at {shown(url)!r} cannot be migrated: {told}") from error
    finally:
        engine.dispose()


def _upgrade(connection: "Migrating", schema: str, where: str) -> tuple[str | None, str]:
    from alembic import command, config, migration
    from alembic.util import CommandError

    # One process migrates, others wait for it: the lock is let go with the transaction.
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(hashtext(%s))", (f"baton.journal.{schema}",))
    quoted = connection.dialect.identifier_preparer.quote_identifier(schema)
    if not connection.exec_driver_sql("SELECT 1 FROM pg_namespace WHERE nspname = %s", (schema,)).first():
        connection.exec_driver_sql(f"CREATE SCHEMA {quoted}")
    connection.exec_driver_sql(f"SET LOCAL search_path TO {quoted}")
    before = migration.MigrationContext.configure(
        connection, opts={"version_table_schema": schema}
    ).get_current_revision()
    settings = config.Config(attributes={"connection": connection, "schema": schema})
    with resources.as_file(resources.files(PACKAGE)) as folder:
        settings.set_main_option("script_location", str(folder).replace("%", "%%"))
        settings.set_main_option("path_separator", "os")
        try:
            command.upgrade(settings, VERSION)
        except CommandError as error:
            raise JournalVersionError(
                f"the journal in {where} has version {before}; this Baton knows {VERSION}: use the newer Baton"
            ) from error
    return before, VERSION


def _engine(url: str) -> "Engine":
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    parts = urlsplit(url)
    options = [(name, value) for name, value in parse_qsl(parts.query) if name != "search_path"]
    plain = urlunsplit(("postgresql+psycopg", parts.netloc, parts.path, urlencode(options), ""))
    return create_engine(plain, poolclass=NullPool)
