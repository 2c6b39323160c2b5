"""A real Jaeger v2 for tests: found on this machine or built once with Go, and run as a child process.

In: environment variables, and what this machine has. Out: a `Program`, and from it a `JaegerServer` that takes spans
and answers questions. `python -m tests.support.servers.jaeger` finds or builds the program and tells which it is.
"""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any

from tests.support.servers import machine
from tests.support.servers.choosing import INSTALL_VARIABLE, says_no
from tests.support.servers.locks import locked, wait_until
from tests.support.servers.orders import UnavailableError
from tests.support.servers.processes import dies_with_parent

PROGRAM_VARIABLE = "BATON_TEST_JAEGER"
MODULE, COMMIT, VERSION = "github.com/jaegertracing/jaeger", "798e4b0fcf22", "v2.20.0"
"""Go cannot name the tag: tags v2 need a module path that ends in /v2, and those of v1 have a `replace`."""

CHOSEN = "jaeger.program"
"""In the directory of a session: its `Program`."""

BUILD_S = 1800.0
"""5 to 8 minutes on two cores."""
START_S = 60.0
STOP_S = 10.0
ANSWER_S = 5.0

MEMORY: dict[str, Any] = {
    "service": {
        "extensions": ["jaeger_storage", "jaeger_query", "healthcheckv2"],
        # Without batches a span can be asked for as soon as it is taken.
        "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["jaeger_storage_exporter"]}},
        "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
    },
    "exporters": {"jaeger_storage_exporter": {"trace_storage": "spans"}},
    "extensions": {
        "jaeger_storage": {"backends": {"spans": {"memory": {"max_traces": 100_000}}}},
        "jaeger_query": {"storage": {"traces": "spans"}, "enable_tracing": False},
    },
}
"""Configuration of a Jaeger that forgets everything when it ends; where it listens is added to it."""


@dataclass(frozen=True)
class Program:
    """What the tests of one session use as Jaeger, or why they have none."""

    path: str = ""
    """Of the program; empty if there is none."""
    version: str = ""
    """`v2.13.0`; empty if whoever built it did not say."""
    how: str = ""
    """Where it is from, in words."""
    reason: str = ""
    """Why there is none: all that was tried."""

    def __str__(self) -> str:
        named = " ".join(filter(None, ["Jaeger", self.version, f"({self.how})"]))
        return named if self.path else f"no Jaeger ({self.reason})"


@dataclass(frozen=True)
class JaegerServer:
    """A running Jaeger."""

    otlp_url: str
    """`http://127.0.0.1:port`: takes OTLP over HTTP, at `/v1/traces`."""
    query_url: str
    """`http://127.0.0.1:port`: the UI and its API."""


def shared(session: Path, environ: Mapping[str, str], announce: Callable[[str], None]) -> Program:
    """Return the program of a test session, looked for by the first process that asks.

    Args:
        session: The directory that the processes of the session have in common.
        environ: Environment variables.
        announce: Is told in one line before anything is built.
    """
    with locked(session / "jaeger.lock"):
        found = chosen(session)
        if found is None:
            found = obtain(environ, announce)
            (session / CHOSEN).write_text(json.dumps(dataclasses.asdict(found)), encoding="utf-8")
    return found


def chosen(session: Path) -> Program | None:
    """Return the program of a test session; None if no test asked for one."""
    path = session / CHOSEN
    return Program(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def obtain(environ: Mapping[str, str], announce: Callable[[str], None]) -> Program:
    """Return the program from the first source that has one; see `shared`."""
    # Who names a program wants that one: another would hide that it does not work.
    sources = (_given,) if environ.get(PROGRAM_VARIABLE) else (_on_path, _built)
    reasons = []
    for source in sources:
        try:
            return source(environ, announce)
        except UnavailableError as problem:
            reasons.append(str(problem))
    return Program(reason="; ".join(reasons))


def _given(environ: Mapping[str, str], _: Callable[[str], None]) -> Program:
    return checked(environ[PROGRAM_VARIABLE], PROGRAM_VARIABLE)


def _on_path(environ: Mapping[str, str], _: Callable[[str], None]) -> Program:
    found = shutil.which("jaeger", path=environ.get("PATH", ""))
    if found is None:
        raise UnavailableError("no jaeger on the path")
    return checked(found, "found on the path")


def _built(environ: Mapping[str, str], announce: Callable[[str], None]) -> Program:
    home = cache(environ)
    program = home / "jaeger"
    if not program.exists():
        go = shutil.which("go", path=environ.get("PATH", ""))
        if go is None:
            raise UnavailableError("no go to build it with")
        if says_no(environ, INSTALL_VARIABLE):
            raise UnavailableError(f"{INSTALL_VARIABLE} declines to build it")
        home.mkdir(parents=True, exist_ok=True)
        with locked(home / "lock"):
            if not program.exists():
                announce(
                    f"servers: building Jaeger {VERSION} with Go, once: minutes, and 3 GB in Go's caches; "
                    f"{INSTALL_VARIABLE}=0 declines"
                )
                build(go, program, environ)
    return checked(str(program), "built with Go")


def cache(environ: Mapping[str, str]) -> Path:
    """Return the folder that keeps the program that was built."""
    return Path(environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "baton" / f"jaeger-{VERSION}"


def build(go: str, program: Path, environ: Mapping[str, str]) -> None:
    """Build Jaeger at `program`, complete or not at all.

    Raises:
        UnavailableError: Go refused, with the end of what it said, or took too long.
    """
    with tempfile.TemporaryDirectory(prefix="draft-", dir=program.parent) as folder:
        command = [go, "install", "-p", "2", f"{MODULE}/cmd/jaeger@{COMMIT}"]
        _run(command, folder, {**environ, "GOBIN": folder})
        (Path(folder) / "jaeger").replace(program)


def _run(command: list[str], folder: str, environ: Mapping[str, str]) -> str:
    what = " ".join(["go", *command[1:2]])
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**environ, "GOWORK": "off"},
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_S,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(f"{what} took over {BUILD_S:g} s") from None
    if done.returncode:
        said = " ".join((done.stdout + done.stderr).split())
        raise UnavailableError(f"{what} failed: {said[-400:]}")
    return done.stdout


def checked(path: str, how: str) -> Program:
    """Return the program at `path`, once it said that it is Jaeger v2: other programs have that name too.

    Raises:
        UnavailableError: It is not, or does not run.
    """
    try:
        done = subprocess.run([path, "version"], check=False, capture_output=True, text=True, timeout=START_S)
        version = str(json.loads(done.stdout)["gitVersion"])
    except (OSError, ValueError, TypeError, KeyError, subprocess.TimeoutExpired) as problem:
        raise UnavailableError(f"{path} ({how}) is not Jaeger: {type(problem).__name__}") from None
    if version.startswith("v1."):
        raise UnavailableError(f"{path} ({how}) is Jaeger {version}; v2 is needed")
    return Program(path, version, how)


@contextmanager
def running(program: Program, place: Path, *configs: Path | Mapping[str, Any]) -> Iterator[JaegerServer]:
    """Run a Jaeger of one's own on free ports, and end it afterwards.

    Args:
        program: To run.
        place: Where its log and its configuration are written.
        configs: Its configuration, later ones over earlier ones; by default it keeps spans in memory.

    Raises:
        RuntimeError: It did not start; with what its log says of it.
    """
    otlp, otlp_grpc, query, query_grpc, health = machine.free_ports(5)
    command = [program.path]
    for number, config in enumerate([*(configs or [MEMORY]), _listening(otlp, otlp_grpc, query, query_grpc, health)]):
        path = config if isinstance(config, Path) else place / f"config-{number}.json"
        if not isinstance(config, Path):
            path.write_text(json.dumps(config), encoding="utf-8")
        command += ["--config", str(path)]
    with (place / "jaeger.log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=place,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=dies_with_parent(signal.SIGKILL),  # noqa: PLW1509  # sets one signal and nothing else
        )
    try:
        _wait_for(process, f"http://127.0.0.1:{health}/status", place / "jaeger.log")
        yield JaegerServer(f"http://127.0.0.1:{otlp}", f"http://127.0.0.1:{query}")
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listening(otlp: int, otlp_grpc: int, query: int, query_grpc: int, health: int) -> dict[str, Any]:
    def at(port: int) -> dict[str, str]:
        return {"endpoint": f"127.0.0.1:{port}"}

    return {
        "receivers": {"otlp": {"protocols": {"http": at(otlp), "grpc": at(otlp_grpc)}}},
        "extensions": {
            "jaeger_query": {"http": at(query), "grpc": at(query_grpc)},
            "healthcheckv2": {"use_v2": True, "http": at(health)},
        },
    }


def _wait_for(process: subprocess.Popen[bytes], status_url: str, log: Path) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def is_ready() -> bool:
        if process.poll() is not None:
            raise TimeoutError("it ended")
        try:
            with opener.open(status_url, timeout=ANSWER_S) as answer:
                return bool(answer.status == 200)
        except (OSError, HTTPException):
            return False

    try:
        wait_until(is_ready, timeout_s=START_S, what="Jaeger serves")
    except TimeoutError as problem:
        lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        # A panic puts a long trace of calls after the line that tells why.
        telling = [line for line in lines if "error" in line.lower()] or lines
        raise RuntimeError(f"Jaeger did not start: {problem}; its log: {' | '.join(telling[-3:])[-1000:]}") from None


if __name__ == "__main__":
    print(obtain(os.environ, lambda text: print(text, flush=True)))
