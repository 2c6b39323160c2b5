"""The relay's five processes, as `baton run` starts them: the router and four agents.

In: URLs of a broker and of a journal. Out: processes that serve; in the end none.
"""

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from baton.bench import profile, stages
from baton.bench.profile import Profile
from baton.config import PREFIX
from baton.errors import ConfigError

START_S = 30.0
STOP_S = 30.0
REPORT_S = 10.0
CONCURRENCY = 200
"""Hops that each works on at a time."""
ROUTER = "router"
PROCESSES = (*(f"stage-{number}" for number in range(stages.STAGES - 1, 0, -1)), ROUTER)
"""What is run, each in a process of its own; the last stage first, so that each finds the next one's card."""


@dataclass(frozen=True, slots=True)
class Servers:
    """What the processes share."""

    broker_url: str
    journal_url: str
    management_url: str | None = None
    """Of the broker; None: at its usual port."""
    otlp_url: str | None = None
    """Where spans go; None: nowhere."""
    has_metrics: bool = False
    """True: metrics go there, too."""


class Processes:
    """The stages' processes.

    Args:
        directory: For their logs and reports.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._sampled: list[str] = []

    @property
    def groups(self) -> dict[str, list[int]]:
        """Their ids: the router's, and the agents'."""
        pids = {name: process.pid for name, process in self._running.items()}
        router = pids.pop(ROUTER)
        return {ROUTER: [router], "agents": list(pids.values())}

    async def start(self, name: str, servers: Servers, *, is_sampled: bool) -> None:
        """Start one and return once it serves.

        Raises:
            ConfigError: It does not; says what it said.
        """
        target = name if name == ROUTER else f"baton.bench.stages:{name.replace('-', '_')}"
        module = ["baton.bench.sampler", str(self._report(name))] if is_sampled else ["baton"]
        inherited = {key: value for key, value in os.environ.items() if not key.startswith((PREFIX, "OTEL_"))}
        own = {
            f"{PREFIX}BROKER_URL": servers.broker_url,
            f"{PREFIX}JOURNAL_URL": servers.journal_url,
            f"{PREFIX}CONCURRENCY": str(CONCURRENCY),
            **_telemetry(servers),
        }
        log = self._directory / f"{name}.log"
        with log.open("wb") as out:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                *module,
                "run",
                target,
                cwd=self._directory,
                env=inherited | own,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=out,
            )
        self._running[name] = process
        if is_sampled:
            self._sampled.append(name)
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                first = await process.stdout.readline()
        except TimeoutError:
            first = b""
        if not first.startswith(b"serving"):
            said = log.read_text(encoding="utf-8", errors="replace").strip()[-500:]
            raise ConfigError(f"the process of {name} does not serve: {said or 'it says nothing'}")

    def sample(self, number: signal.Signals) -> None:
        """Tell those that are looked at to begin, or to end."""
        for name in self._sampled:
            self._running[name].send_signal(number)

    async def profiles(self, hops: int) -> tuple[Profile, ...]:
        """Return where those that are looked at spent their time.

        Args:
            hops: That each did meanwhile.

        Raises:
            ConfigError: One wrote no report.
        """
        until_s = time.monotonic() + REPORT_S
        while not all(self._report(name).exists() for name in self._sampled):
            if time.monotonic() > until_s:
                raise ConfigError(f"the profiled processes wrote no profile within {REPORT_S:g} s")
            await asyncio.sleep(0.05)
        return tuple(profile.read(self._report(name), name, hops) for name in self._sampled)

    async def stop(self) -> None:
        """Stop all."""
        for process in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await asyncio.gather(*(process.wait() for process in self._running.values()))
        except TimeoutError:
            for process in self._running.values():
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
            await asyncio.gather(*(process.wait() for process in self._running.values()))

    def _report(self, name: str) -> Path:
        return self._directory / f"{name}.profile.json"


def _telemetry(servers: Servers) -> dict[str, str]:
    """Return the variables that say where spans and metrics go."""
    if servers.otlp_url is None:
        return {}
    if servers.has_metrics:
        return {"OTEL_EXPORTER_OTLP_ENDPOINT": servers.otlp_url}
    return {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{servers.otlp_url}/v1/traces"}


@contextlib.asynccontextmanager
async def running(servers: Servers, sampled: tuple[str, ...] = ()) -> AsyncIterator[Processes]:
    """Run the five processes for as long as the block runs.

    Raises:
        ConfigError: One does not start.
    """
    with tempfile.TemporaryDirectory(prefix="baton-bench-") as directory:
        processes = Processes(Path(directory))
        try:
            for name in PROCESSES:
                await processes.start(name, servers, is_sampled=name in sampled)
            yield processes
        finally:
            await processes.stop()
