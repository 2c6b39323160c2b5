"""The journal's schema: made once by `baton journal migrate`, checked at every start, never changed on the way."""

import asyncio
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from baton.cli.app import app
from baton.errors import ConfigError, JournalUnavailableError, JournalVersionError
from baton.journal.postgres import schema
from baton.journal.postgres.journal import PostgresJournal
from baton.protocol.guards import Graph
from tests.support.journals import Hand
from tests.support.pgjournal import PostgresHarness, make_schema
from tests.support.postgres import with_schema

CATALOG = {
    "columns": "SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name "
    "FROM information_schema.columns WHERE table_schema = $1 AND table_name <> 'alembic_version' "
    "ORDER BY table_name, ordinal_position",
    "indexes": "SELECT indexname, replace(indexdef, $1, '') AS def FROM pg_indexes WHERE schemaname = $1 "
    "AND tablename <> 'alembic_version' ORDER BY indexname",
    "functions": "SELECT proname, prosrc, pg_get_function_arguments(oid) FROM pg_proc "
    "WHERE pronamespace = $1::text::regnamespace ORDER BY proname",
}


async def catalog(url: str) -> dict[str, list[tuple[Any, ...]]]:
    connection = await asyncpg.connect(url)
    found = {
        name: [tuple(row) for row in await connection.fetch(sql, schema.schema_of(url))]
        for name, sql in CATALOG.items()
    }
    await connection.close()
    return found


async def execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(sql)
    await connection.close()


def baton(*words: str, url: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, words, env={"BATON_JOURNAL_URL": url})
    return done.exit_code, done.output


def test_the_library_works_with_the_newest_version() -> None:
    from alembic import config, script

    settings = config.Config()
    settings.set_main_option("script_location", "baton:journal/postgres/migrations")
    settings.set_main_option("path_separator", "os")
    assert script.ScriptDirectory.from_config(settings).get_heads() == [schema.VERSION]


async def test_migrate_makes_a_journal_that_starts_and_works(postgres_url: str) -> None:
    assert await asyncio.to_thread(schema.migrate, postgres_url) == (None, schema.VERSION)
    journal = PostgresJournal(postgres_url)
    await journal.start(serves=True)
    await Hand(PostgresHarness(postgres_url), "w1", journal).accept()
    await journal.close()
    assert await asyncio.to_thread(schema.migrate, postgres_url) == (schema.VERSION, schema.VERSION)


async def test_migrate_makes_the_schema_where_it_is_not_there(postgres_url: str) -> None:
    name = f"{schema.schema_of(postgres_url)}_new"
    url = with_schema(postgres_url, name)
    try:
        assert await asyncio.to_thread(schema.migrate, url) == (None, schema.VERSION)
        journal = PostgresJournal(url)
        await journal.start(serves=False)
        assert await journal.registry() == Graph({})
        await journal.close()
    finally:
        await execute(postgres_url, f"DROP SCHEMA IF EXISTS {name} CASCADE")


async def test_several_migrations_at_once_make_one_journal(postgres_url: str) -> None:
    done = await asyncio.gather(*(asyncio.to_thread(schema.migrate, postgres_url) for _ in range(4)))
    assert sorted(str(before) for before, _ in done) == [*["0001"] * 3, "None"]


async def test_tests_make_the_same_tables_and_functions(postgres_url: str) -> None:
    await asyncio.to_thread(schema.migrate, postgres_url)
    migrated = await catalog(postgres_url)
    await execute(postgres_url, f"DROP SCHEMA {schema.schema_of(postgres_url)} CASCADE")
    await make_schema(postgres_url)
    assert await catalog(postgres_url) == migrated
    assert all(migrated.values())


@pytest.mark.parametrize(
    ("version", "told"),
    [(None, "run `baton journal migrate`"), ("0000", "run `baton"), ("0002", "use the newer Baton")],
)
async def test_a_journal_of_another_version_is_refused_and_left_alone(
    postgres_url: str, version: str | None, told: str
) -> None:
    if version is not None:
        await make_schema(postgres_url)
        await execute(postgres_url, f"UPDATE alembic_version SET version_num = '{version}'")
    before = await catalog(postgres_url)
    journal = PostgresJournal(postgres_url)
    with pytest.raises(JournalVersionError, match=told) as caught:
        await journal.start(serves=True)
    assert repr(schema.schema_of(postgres_url)) in str(caught.value)
    await journal.close()
    assert await catalog(postgres_url) == before


async def test_a_newer_journal_is_not_migrated(postgres_url: str) -> None:
    await make_schema(postgres_url)
    await execute(postgres_url, "UPDATE alembic_version SET version_num = '0002'")
    with pytest.raises(JournalVersionError, match="has version 0002; this Baton knows 0001"):
        await asyncio.to_thread(schema.migrate, postgres_url)


async def test_a_journal_whose_tables_are_gone_says_what_to_do(postgres_url: str) -> None:
    await make_schema(postgres_url)
    journal = PostgresJournal(postgres_url)
    await journal.start(serves=True)
    await execute(postgres_url, "DROP TABLE runs")
    with pytest.raises(JournalVersionError, match="run `baton journal migrate`"):
        await Hand(PostgresHarness(postgres_url), "w1", journal).accept()
    await journal.close()


@pytest.mark.parametrize("port", ["none", "99999"])
async def test_a_url_that_is_none_is_told_without_its_password(port: str) -> None:
    with pytest.raises(ConfigError, match="is no URL") as caught:
        PostgresJournal(f"postgresql://baton:secret@localhost:{port}/x")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["My", "a,b", '"a"', "a b", ""])
def test_a_schema_whose_name_needs_quotes_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="allowed are lower-case letters"):
        PostgresJournal(with_schema("postgresql://localhost/x", name))


def test_a_server_that_is_not_there_is_told_by_migrate_too() -> None:
    with pytest.raises(JournalUnavailableError, match="cannot be migrated"):
        schema.migrate("postgresql://baton:secret@127.0.0.1:1/x")


def test_the_command_migrates_and_says_so(postgres_url: str) -> None:
    code, out = baton("journal", "migrate", url=postgres_url)
    assert (code, f"schema {schema.schema_of(postgres_url)!r}" in out, "has version 0001 now" in out) == (0, True, True)
    assert baton("journal", "migrate", "--json", url=postgres_url) == (
        0,
        '{"before":"0001","now":"0001","changed":false}\n',
    )
    code, out = baton("journal", "prune", "--older-than", "30d", "--dry-run", url=postgres_url)
    assert (code, out.startswith("0 runs would be deleted")) == (0, True)


def test_a_sqlite_journal_needs_no_migration() -> None:
    code, out = baton("journal", "migrate", url="sqlite:///journal.db")
    assert (code, "nothing to do" in out) == (0, True)
