"""When a server may be used: it answers as clients will ask, not only accepts connections.

In: an `Order`, or the URL of a server. Out: its version.
"""

import base64
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from tests.support.postgres import for_psycopg
from tests.support.servers.locks import wait_until
from tests.support.servers.orders import TITLES, Order

ANSWER_S = 30.0
TRY_S = 5.0


class ApiError(Exception):
    """RabbitMQ's management API refused; the message has its status and its reason."""


def call_api(management_url: str, method: str, path: str, body: object = None, *, timeout_s: float = ANSWER_S) -> Any:
    """Call RabbitMQ's management API and return what it answers.

    Args:
        management_url: `http://user:password@host:port`.
        method: HTTP method.
        path: Below `/api/`, encoded: see `part`.
        body: Sent as JSON.
        timeout_s: Seconds until an answer.

    Raises:
        ApiError: It answered with an error.
        OSError: It cannot be reached.
    """
    split = urlsplit(management_url)
    origin = f"{split.scheme}://{split.netloc.rpartition('@')[2]}"
    who = f"{unquote(split.username or '')}:{unquote(split.password or '')}"
    request = urllib.request.Request(
        f"{origin}{split.path.rstrip('/')}/api/{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={
            "Authorization": "Basic " + base64.b64encode(who.encode()).decode(),
            "Content-Type": "application/json",
        },
    )
    # A proxy of the environment must not see a call to this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout_s) as response:
            answer = response.read()
    except urllib.error.HTTPError as problem:
        with problem:
            said = problem.read().decode(errors="replace")
        raise ApiError(f"{method} /api/{path}: {problem.code} {said}") from None
    return json.loads(answer) if answer else None


def part(text: str) -> str:
    """Return `text` as one part of a path."""
    return quote(text, safe="")


def user_of(url: str) -> str:
    """Return the user that a URL names."""
    return unquote(urlsplit(url).username or "guest")


def rabbitmq_version(management_url: str) -> str:
    """Return the version of a RabbitMQ.

    Raises:
        ApiError, OSError: See `call_api`.
    """
    return str(call_api(management_url, "GET", "overview", timeout_s=TRY_S)["rabbitmq_version"])


def postgres_version(url: str) -> str:
    """Return the version of a PostgreSQL.

    Raises:
        ConnectionError: It cannot be used.
    """
    import psycopg

    try:
        with psycopg.connect(for_psycopg(url), connect_timeout=int(TRY_S)) as connection:
            row = connection.execute("SHOW server_version").fetchone()
    except psycopg.Error as problem:
        raise ConnectionError(str(problem).strip()) from None
    assert row is not None
    return str(row[0]).split()[0]


def is_open(host: str, port: int) -> bool:
    """Return True if something listens there."""
    with socket.socket() as probe:
        probe.settimeout(TRY_S)
        return probe.connect_ex((host, port)) == 0


def _speaks_amqp(host: str, port: int) -> bool:
    """Return True if an AMQP server greets; a container's port accepts connections long before."""
    with socket.create_connection((host, port), TRY_S) as connection:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        return len(connection.recv(8)) > 0


def version_of(order: Order, has_ended: Callable[[], bool], *, timeout_s: float) -> str:
    """Wait until the server of `order` may be used, and return its version.

    Args:
        order: What was started.
        has_ended: Tells that waiting is in vain.
        timeout_s: Seconds until it must serve.

    Raises:
        TimeoutError: It does not serve, or has ended.
    """
    last = "nothing tried"

    def version() -> str:
        nonlocal last
        if has_ended():
            raise TimeoutError(f"{TITLES[order.kind]} ended when it was started")
        try:
            if order.kind == "postgres":
                return postgres_version(order.url)
            return rabbitmq_version(order.management_url) if _speaks_amqp(order.host, order.ports[0]) else ""
        except (OSError, HTTPException, ApiError) as problem:
            last = str(problem)
            return ""

    try:
        return wait_until(version, timeout_s=timeout_s, what=f"{TITLES[order.kind]} serves")
    except TimeoutError as problem:
        raise TimeoutError(f"{problem}; last: {last}") from None
