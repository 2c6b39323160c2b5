"""Which source of a server is asked, in which order, and what a missing server means: pure decisions.

In: environment variables. Out: sources, URLs, and whether tests are skipped or fail.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit, urlunsplit

from tests.support.servers.orders import Kind, Source

URL_VARIABLES: dict[Kind, str] = {"rabbitmq": "BATON_TEST_AMQP_URL", "postgres": "BATON_TEST_POSTGRES_URL"}
MANAGEMENT_VARIABLE = "BATON_TEST_MANAGEMENT_URL"
DOCKER_VARIABLE = "BATON_TEST_DOCKER"
INSTALL_VARIABLE = "BATON_TEST_INSTALL"

NO = {"0", "false", "no", "off"}


def sources(kind: Kind, environ: Mapping[str, str], *, is_own: bool = False) -> tuple[Source, ...]:
    """Return the sources to ask for a server, the first first.

    Args:
        kind: Of server.
        environ: Environment variables.
        is_own: True: a test wants to stop it, which nobody may do with a server that was given.
    """
    if environ.get(URL_VARIABLES[kind]) and not is_own:
        # Who names a server wants that one: another would hide that it does not answer.
        return ("given",)
    wanted: list[Source] = []
    if not says_no(environ, DOCKER_VARIABLE):
        wanted.append("docker")
    wanted.append("found")
    if not says_no(environ, INSTALL_VARIABLE):
        wanted.append("installed")
    return tuple(wanted)


def says_no(environ: Mapping[str, str], name: str) -> bool:
    """Return True if the variable declines something."""
    return environ.get(name, "").strip().lower() in NO


def must_run(environ: Mapping[str, str]) -> bool:
    """Return True if a missing server fails the tests that need it: in CI a skip would pass for success."""
    return environ.get("CI", "").strip().lower() not in NO | {""}


def given_management_url(environ: Mapping[str, str]) -> str:
    """Return where the management API of the given RabbitMQ is: as told, or at its usual port on the same host."""
    told = environ.get(MANAGEMENT_VARIABLE)
    if told:
        return told.rstrip("/")
    amqp = urlsplit(environ[URL_VARIABLES["rabbitmq"]])
    scheme, port = ("https", 15671) if amqp.scheme == "amqps" else ("http", 15672)
    who = (amqp.netloc.rpartition("@")[0] or "guest:guest") + "@"
    host = f"[{amqp.hostname}]" if amqp.hostname and ":" in amqp.hostname else amqp.hostname or "localhost"
    return urlunsplit((scheme, f"{who}{host}:{port}", "", "", ""))
