"""Fixtures that give tests a real RabbitMQ, PostgreSQL and Jaeger, and the line that tells which.

In: the sources that `choosing` and `jaeger` name. Out: `amqp_server`, `amqp_url`, `postgres_server`, `postgres_url`,
and `own_…` of each, for tests that stop, wipe or alarm a server; `jaeger`, and `jaeger_program` to run one otherwise.

One server of each kind serves all workers of a session; a Jaeger is each worker's own. They are started, and Jaeger is
built, after the tests are collected and only if one of them needs it, so that no test's time limit pays for it.
"""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.servers import choosing
from tests.support.servers import jaeger as jaegers
from tests.support.servers.handles import HANDLES, PostgresServer, RabbitServer
from tests.support.servers.orders import Kind, Record
from tests.support.servers.sharing import Session

SESSION: pytest.StashKey[Session] = pytest.StashKey()
FIXTURES: dict[Kind, str] = {"rabbitmq": "amqp_server", "postgres": "postgres_server"}
WORKER_INPUT = "baton_servers"


def pytest_configure(config: pytest.Config) -> None:
    """Begin a session, or join it as one of its workers."""
    told = getattr(config, "workerinput", None)
    config.stash[SESSION] = Session(Path(told[WORKER_INPUT])) if told else Session.begin()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker which session it belongs to."""
    node.workerinput[WORKER_INPUT] = str(node.config.stash[SESSION].directory)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the session with all its servers."""
    if not hasattr(config, "workerinput") and SESSION in config.stash:
        config.stash[SESSION].end()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the servers that the collected tests need, all at once."""
    if session.config.option.collectonly:
        return
    needed = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    wanted: list[Callable[[], object]] = [
        partial(_record, session.config, kind) for kind, name in FIXTURES.items() if name in needed
    ]
    if "jaeger_program" in needed:
        wanted.append(partial(_program, session.config))
    if wanted:
        with ThreadPoolExecutor(len(wanted)) as pool:
            list(pool.map(lambda get: get(), wanted))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell which servers the tests ran on, or why there was none."""
    session = config.stash[SESSION]
    used = [*session.records(), *filter(None, [jaegers.chosen(session.directory)])]
    if used:
        terminalreporter.write_line("servers: " + ", ".join(map(str, used)))


def _record(config: pytest.Config, kind: Kind) -> Record:
    return config.stash[SESSION].shared(kind, os.environ, lambda text: _announce(config, text))


def _program(config: pytest.Config) -> jaegers.Program:
    return jaegers.shared(config.stash[SESSION].directory, os.environ, lambda text: _announce(config, text))


def _announce(config: pytest.Config, text: str) -> None:
    """Write a line to the terminal now, from whichever worker."""
    capture = config.pluginmanager.getplugin("capturemanager")
    assert capture is not None
    with capture.global_and_fixture_disabled():
        print(text, file=sys.__stderr__, flush=True)


def _use(record: Record) -> Any:
    if not record.is_missing:
        return HANDLES[record.kind](record)
    if choosing.must_run(os.environ) or choosing.URL_VARIABLES[record.kind] in os.environ:
        pytest.fail(str(record), pytrace=False)
    pytest.skip(str(record))


def _own(config: pytest.Config, kind: Kind) -> Iterator[Any]:
    session = config.stash[SESSION]
    record = session.obtain(kind, os.environ, lambda text: _announce(config, text), is_own=True)
    server = _use(record)
    yield server
    server.discard()


@pytest.fixture(scope="session")
def amqp_server(request: pytest.FixtureRequest) -> RabbitServer:
    """Return the session's RabbitMQ, which all workers share."""
    return _use(_record(request.config, "rabbitmq"))


@pytest.fixture(scope="session")
def postgres_server(request: pytest.FixtureRequest) -> PostgresServer:
    """Return the session's PostgreSQL, which all workers share."""
    return _use(_record(request.config, "postgres"))


@pytest.fixture
def amqp_url(amqp_server: RabbitServer) -> Iterator[str]:
    """Give the URL of a vhost that is this test's own, as an administrator."""
    with amqp_server.vhost() as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """Give a URL with a schema that is this test's own: `postgresql://…/db?search_path=<schema>`."""
    with postgres_server.schema() as url:
        yield url


@pytest.fixture(scope="module")
def own_amqp_server(request: pytest.FixtureRequest) -> Iterator[RabbitServer]:
    """Give a RabbitMQ that the tests of one module have for themselves, to stop and to harm."""
    yield from _own(request.config, "rabbitmq")


@pytest.fixture(scope="module")
def own_postgres_server(request: pytest.FixtureRequest) -> Iterator[PostgresServer]:
    """Give a PostgreSQL that the tests of one module have for themselves, to stop and to harm."""
    yield from _own(request.config, "postgres")


@pytest.fixture
def own_amqp_url(own_amqp_server: RabbitServer) -> Iterator[str]:
    """Give the URL of a fresh vhost on the module's own RabbitMQ; starts it if a test left it stopped."""
    own_amqp_server.start()
    with own_amqp_server.vhost() as url:
        yield url
        own_amqp_server.start()


@pytest.fixture
def own_postgres_url(own_postgres_server: PostgresServer) -> Iterator[str]:
    """Give a URL with a fresh schema on the module's own PostgreSQL; starts it if a test left it stopped."""
    own_postgres_server.start()
    with own_postgres_server.schema() as url:
        yield url
        own_postgres_server.start()


@pytest.fixture(scope="session")
def jaeger_program(request: pytest.FixtureRequest) -> jaegers.Program:
    """Return the Jaeger of this machine, to be run as a test likes."""
    program = _program(request.config)
    if program.path:
        return program
    if os.environ.get(jaegers.PROGRAM_VARIABLE):
        pytest.fail(str(program), pytrace=False)
    # In CI too: a trace is a view of what happened, and every other test of it runs without Jaeger.
    pytest.skip(str(program))


@pytest.fixture(scope="session")
def jaeger(jaeger_program: jaegers.Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[jaegers.JaegerServer]:
    """Give a Jaeger that keeps spans in memory; tests tell theirs apart by trace id."""
    with jaegers.running(jaeger_program, tmp_path_factory.mktemp("jaeger")) as server:
        yield server
