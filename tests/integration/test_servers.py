"""What servers the tests get: which source is asked, what a missing one means, and that nothing is left behind."""

import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import asyncpg
import psycopg
import pytest

from tests.support import postgres
from tests.support.servers import choosing, installing, ready
from tests.support.servers.handles import PostgresServer, RabbitServer
from tests.support.servers.locks import is_held, locked, take
from tests.support.servers.orders import Order, Record, UnavailableError, numbers
from tests.support.servers.sharing import Session
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[2]
NOWHERE = "postgresql://u:p@127.0.0.1:9/db"


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ("docker", "found", "installed")),
        ({"BATON_TEST_DOCKER": "0"}, ("found", "installed")),
        ({"BATON_TEST_DOCKER": "1", "BATON_TEST_INSTALL": "no"}, ("docker", "found")),
        ({"BATON_TEST_DOCKER": "0", "BATON_TEST_INSTALL": "0"}, ("found",)),
        ({"BATON_TEST_AMQP_URL": "amqp://h/"}, ("given",)),
        ({"BATON_TEST_AMQP_URL": ""}, ("docker", "found", "installed")),
        ({"BATON_TEST_POSTGRES_URL": NOWHERE}, ("docker", "found", "installed")),
    ],
)
def test_sources_are_asked_in_the_order_that_the_environment_allows(
    environ: dict[str, str], expected: tuple[str, ...]
) -> None:
    assert choosing.sources("rabbitmq", environ) == expected


def test_a_server_that_is_given_is_never_one_to_stop() -> None:
    environ = {"BATON_TEST_AMQP_URL": "amqp://h/", "BATON_TEST_POSTGRES_URL": NOWHERE}
    for kind in ("rabbitmq", "postgres"):
        assert choosing.sources(kind, environ, is_own=True) == ("docker", "found", "installed")


@pytest.mark.parametrize(
    ("value", "expected"), [(None, False), ("", False), ("false", False), ("0", False), ("true", True), ("1", True)]
)
def test_a_missing_server_fails_in_ci_only(value: str | None, expected: bool) -> None:
    assert choosing.must_run({} if value is None else {"CI": value}) is expected


@pytest.mark.parametrize(
    ("amqp", "expected"),
    [
        ("amqp://u:p%40@h:5673/v", "http://u:p%40@h:15672"),
        ("amqps://u:p@h/v", "https://u:p@h:15671"),
        ("amqp://h", "http://guest:guest@h:15672"),
        ("amqp://u:p@[::1]:5672/", "http://u:p@[::1]:15672"),
    ],
)
def test_the_management_api_is_looked_for_where_it_usually_is(amqp: str, expected: str) -> None:
    assert choosing.given_management_url({"BATON_TEST_AMQP_URL": amqp}) == expected


def test_the_management_api_is_where_the_environment_says() -> None:
    environ = {"BATON_TEST_AMQP_URL": "amqp://h", "BATON_TEST_MANAGEMENT_URL": "http://a:b@other:1/"}
    assert choosing.given_management_url(environ) == "http://a:b@other:1"


@pytest.mark.parametrize(
    ("version", "expected"), [("3.10.8", (3, 10, 8)), ("17.12", (17, 12)), ("4.1.0-rc.1", (4, 1)), ("18beta1", ())]
)
def test_versions_compare_as_numbers(version: str, expected: tuple[int, ...]) -> None:
    assert numbers(version) == expected


def test_a_given_server_that_does_not_answer_is_named_and_not_replaced() -> None:
    session = Session(Path("/nowhere"))
    record = session.obtain("postgres", {"BATON_TEST_POSTGRES_URL": NOWHERE}, pytest.fail)
    assert record.is_missing
    assert "BATON_TEST_POSTGRES_URL: PostgreSQL does not answer" in str(record)


def test_a_missing_server_says_what_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.servers.machine.find", _none_found)
    environ = {"BATON_TEST_DOCKER": "0", "BATON_TEST_INSTALL": "0"}
    record = Session(tmp_path).obtain("rabbitmq", environ, pytest.fail)
    assert str(record) == "no RabbitMQ (no such program)"


def test_nothing_is_installed_by_an_ordinary_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(UnavailableError, match="not root"):
        installing.install("rabbitmq", pytest.fail)


def test_installing_leaves_the_files_of_the_machine_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = tmp_path / "policy", tmp_path / "folder" / "no-cluster"
    theirs.write_text("theirs")
    monkeypatch.setattr(installing, "POLICY", theirs)
    monkeypatch.setattr(installing, "NO_CLUSTER", ours)
    with installing._files_for_now():
        assert ours.read_text() == "create_main_cluster = false\n"
        assert theirs.read_text() == "theirs"
    assert theirs.exists()
    assert not ours.exists()


def _none_found(_: str) -> Path:
    raise UnavailableError("no such program")


def test_a_lock_is_free_once_its_holder_let_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_held(path)
    with locked(path):
        assert is_held(path)
        assert take(path, waits=False) is None
    assert not is_held(path)


def test_secrets_are_readable_to_their_owner_only(tmp_path: Path) -> None:
    Order("postgres", "found", str(tmp_path), (1,), "secret", is_shared=True).write()
    Record("postgres", "how", url="postgresql://u:secret@h/d").write(tmp_path / "record.json")
    for name in ("order.json", "record.json"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert Order.read(tmp_path).url == "postgresql://baton:secret@127.0.0.1:1/postgres"
    assert Record.read(tmp_path / "record.json").url == "postgresql://u:secret@h/d"


def test_a_url_names_a_schema_for_either_client() -> None:
    url = postgres.with_schema("postgresql://u:p@h:1/db?sslmode=disable&search_path=old", "new")
    assert url == "postgresql://u:p@h:1/db?sslmode=disable&search_path=new"
    assert postgres.schema_of(url) == "new"
    assert postgres.for_psycopg(url) == "postgresql://u:p@h:1/db?sslmode=disable&options=-csearch_path%3Dnew"
    assert postgres.for_psycopg("postgresql://h/db") == "postgresql://h/db"


async def test_each_test_has_a_schema_of_its_own(postgres_server: PostgresServer) -> None:
    with postgres_server.schema() as one, postgres_server.schema() as other:
        connection = await asyncpg.connect(one)
        await connection.execute("CREATE TABLE kept (n int)")
        await connection.close()
        with psycopg.connect(postgres.for_psycopg(one)) as same, psycopg.connect(postgres.for_psycopg(other)) as empty:
            assert same.execute("SELECT to_regclass('kept')").fetchone() == ("kept",)
            assert empty.execute("SELECT to_regclass('kept')").fetchone() == (None,)
    with psycopg.connect(postgres_server.url) as connection:
        found = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", [postgres.schema_of(one)])
        assert found.fetchone() is None


async def test_each_test_has_a_vhost_of_its_own(amqp_server: RabbitServer) -> None:
    with amqp_server.vhost() as one, amqp_server.vhost() as other:
        for url in (one, other):
            async with await aio_pika.connect(url) as connection, connection.channel() as channel:
                made = await channel.declare_queue("work", durable=True, arguments={"x-queue-type": "quorum"})
                assert made.declaration_result.message_count == 0
                await channel.default_exchange.publish(aio_pika.Message(b"x"), "work")
    with pytest.raises(ready.ApiError, match="404"):
        amqp_server.api("GET", "vhosts" + urlsplit(one).path)


def test_a_server_that_others_use_cannot_be_stopped(amqp_server: RabbitServer, postgres_server: PostgresServer) -> None:
    actions: list[Callable[[], None]] = [
        amqp_server.stop,
        amqp_server.restart,
        amqp_server.wipe,
        postgres_server.stop,
        postgres_server.start,
    ]
    for action in actions:
        with pytest.raises(RuntimeError, match=r"take own_(amqp|postgres)_server"):
            action()


@pytest.mark.slow
async def test_an_own_postgres_keeps_its_data_over_stops_and_crashes(
    own_postgres_server: PostgresServer, own_postgres_url: str
) -> None:
    connection = await asyncpg.connect(own_postgres_url)
    await connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
    await connection.close()
    for is_crash in (False, True):
        own_postgres_server.stop(is_crash=is_crash)
        assert not own_postgres_server.is_running
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await asyncpg.connect(own_postgres_url)
        own_postgres_server.start()
        connection = await asyncpg.connect(own_postgres_url)
        assert await connection.fetchval("SELECT n FROM kept") == 1
        await connection.close()


@pytest.mark.slow
async def test_an_own_rabbitmq_keeps_its_messages_over_a_crash_until_it_is_wiped(
    own_amqp_server: RabbitServer, own_amqp_url: str
) -> None:
    async with await aio_pika.connect(own_amqp_url) as connection, connection.channel() as channel:
        await channel.declare_queue("work", durable=True, arguments={"x-queue-type": "quorum"})
        message = aio_pika.Message(b"x", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, "work")
    own_amqp_server.restart(is_crash=True)
    async with await aio_pika.connect(own_amqp_url) as connection, connection.channel() as channel:
        kept = await channel.get_queue("work")
        assert await kept.get(timeout=30) is not None
    own_amqp_server.wipe()
    with pytest.raises(ready.ApiError, match="404"):
        own_amqp_server.api("GET", "vhosts" + urlsplit(own_amqp_url).path)


SESSION = """
import os, sys
from tests.support.servers.sharing import Session
session = Session.begin()
record = session.shared("postgres", os.environ, lambda text: None)
print(record.place, record.url, flush=True)
sys.stdin.read()
"""


@pytest.mark.slow
async def test_servers_end_when_the_session_is_killed() -> None:
    command = [sys.executable, "-c", SESSION]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        place, _, url = process.stdout.readline().strip().partition(" ")
        assert ready.postgres_version(url)
        process.send_signal(signal.SIGKILL)
    await until(lambda: not Path(place).exists(), timeout_s=30, what="the server's directory is gone")
    with pytest.raises(ConnectionError):
        ready.postgres_version(url)
