"""Services as processes of their own, to be started, killed, held and stopped.

In: a `Site`, and targets of `baton run`. Out: processes by name, each with a log that outlives it. All of them die
with the process that started them.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Self

from tests.e2e.faults.site import Site
from tests.support.servers.processes import dies_with_parent
from tests.support.waiting import until

ROOT = Path(__file__).resolve().parents[3]
TEAM = "tests.e2e.faults.team"
READY = "serving "
START_S = 30.0
"""How long a service may take to serve, in seconds; on a busy machine it takes several."""
TOLD_BYTES = 4000
"""How much of a log an error shows."""


class Process:
    """One `baton run`.

    Args:
        name: Its service's.
        targets: What it serves.
        log: Where all goes that it prints; made new.
        environ: All its variables.
    """

    def __init__(self, name: str, targets: tuple[str, ...], log: Path, environ: dict[str, str]) -> None:
        self.name = name
        self.targets = targets
        self.log = log
        self.started_at = time.time()
        """Unix time."""
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "baton", "run", *targets],
                cwd=ROOT,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=dies_with_parent(signal.SIGKILL),  # noqa: PLW1509  # sets one signal and nothing else
            )
        self.pid = self._process.pid

    def __repr__(self) -> str:
        return f"<{self.name}, process {self.pid}, {self._told()}>"

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.log.read_text("utf-8", "replace")

    @property
    def is_running(self) -> bool:
        """True until it has exited, however that came; also while it is held."""
        return self._process.poll() is None

    @property
    def code(self) -> int | None:
        """Its exit code; a signal's number, negative, if that ended it; None while it runs."""
        return self._process.poll()

    @property
    def was_killed(self) -> bool:
        """True where SIGKILL ended it."""
        return self.code == -signal.SIGKILL

    @property
    def is_ready(self) -> bool:
        """True once it serves.

        Raises:
            AssertionError: It ended by itself and never will.
        """
        if READY in self.output:
            return True
        assert self.is_running or self.was_killed, f"{self} did not start:\n{self.output[-TOLD_BYTES:]}"
        return self.was_killed

    def send(self, number: signal.Signals) -> None:
        """Give it a signal; harmless if it has exited."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it by SIGKILL, and return when it is gone."""
        self._process.kill()
        self._process.wait()

    def terminate(self) -> None:
        """Ask it by SIGTERM to finish what it does and exit."""
        self._process.terminate()

    def pause(self) -> None:
        """Hold it by SIGSTOP: it does nothing and does not know."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on after `pause`."""
        self.send(signal.SIGCONT)

    async def exited(self, *, timeout_s: float) -> int:
        """Return its exit code once it has exited.

        Raises:
            TimeoutError: It had not by then; says what it printed.
        """
        try:
            await until(lambda: not self.is_running, timeout_s=timeout_s, what=f"{self.name} exits")
        except TimeoutError as error:
            error.add_note(self.output[-TOLD_BYTES:])
            raise
        assert self.code is not None
        return self.code

    def _told(self) -> str:
        return "running" if self.code is None else f"ended with {self.code}"


class Fleet:
    """The services of a site, by name. Leave it, and all are gone.

    Args:
        site: Where they work.
        **environ: Variables for all of them beside the site's; say `BATON_BROKER_URL=` to lead through a proxy.
    """

    def __init__(self, site: Site, **environ: str) -> None:
        self.site = site
        self.processes: dict[str, Process] = {}
        """The newest process of each name."""
        self.past: list[Process] = []
        """All that were started before those."""
        self._environ = environ
        self._own: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getitem__(self, name: str) -> Process:
        return self.processes[name]

    def __iter__(self) -> Iterator[Process]:
        return iter(list(self.processes.values()))

    def start(self, name: str, *targets: str, **environ: str) -> Process:
        """Start a process and return at once; the one that had the name before must have ended.

        Args:
            name: Of the service; `second-2` is a second replica of `second`.
            *targets: As for `baton run`; by default what the name had before, else the team's agent of that name.
            **environ: Variables for this service: kept for `revive`, but for the fail points.
        """
        before = self.processes.get(name)
        assert before is None or not before.is_running, f"{before} still runs"
        if before is not None:
            self.past.append(before)
        agent = name.partition("-")[0]
        default = ("router",) if agent == "router" else (f"{TEAM}:{agent}",)
        chosen = targets or (before.targets if before else default)
        self._own[name] = {key: value for key, value in environ.items() if key != "BATON_FAIL_AT"}
        number = 1 + sum(one.name == name for one in self.past)
        log = self.site.folder / f"{name}-{number}.log"
        self.processes[name] = Process(name, chosen, log, self._variables() | environ)
        return self.processes[name]

    def restart(self, name: str) -> Process:
        """Start what had this name, with the same targets and variables; kill it first if it runs."""
        self.processes[name].kill()
        return self.start(name, **self._own[name])

    def drop(self, name: str) -> None:
        """Kill a process and forget the service."""
        gone = self.processes.pop(name, None)
        if gone is not None:
            gone.kill()
            self.past.append(gone)

    async def ready(self, *names: str) -> None:
        """Return once these serve; without names: all. One that was killed meanwhile counts.

        Raises:
            AssertionError: One ended by itself.
            TimeoutError: One did not serve in time.
        """
        for one in [self.processes[name] for name in names or self.processes]:
            await until(lambda one=one: one.is_ready, timeout_s=START_S, what=f"{one.name} serves")  # type: ignore[misc]

    def revive(self) -> list[str]:
        """Start again what SIGKILL has ended, without fail points; return which.

        Raises:
            AssertionError: One ended in another way, which no fault of ours explains.
        """
        dead = [one for one in self if not one.is_running]
        for one in dead:
            assert one.was_killed, f"{one}:\n{one.output[-TOLD_BYTES:]}"
            self.start(one.name, **self._own[one.name])
        return [one.name for one in dead]

    @contextlib.asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[list[str]]:
        """Start again what is killed for as long as the block runs, as an orchestrator would.

        Gives the names of what died, which grows.
        """
        deaths: list[str] = []

        async def keep() -> None:
            while True:
                deaths.extend(await until(self.revive, timeout_s=3600))

        keeping = asyncio.create_task(keep())
        try:
            yield deaths
        finally:
            keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeping

    def close(self) -> None:
        """Kill all."""
        for one in self:
            one.kill()

    def logs(self) -> str:
        """Return the ends of all logs, for an error."""
        every = [*self.past, *self]
        return "\n".join(f"== {one.log.name} ({one._told()})\n{one.output[-TOLD_BYTES:]}" for one in every)

    def _variables(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("BATON_", "DESK_"))}
        kit = {"PYTHONUNBUFFERED": "1", "BATON_TESTING": "1"}
        return inherited | self.site.environ | kit | self._environ


@contextlib.asynccontextmanager
async def serving(site: Site, *names: str, **environ: str) -> AsyncIterator[Fleet]:
    """Give a fleet that serves: by default the router and the three agents of the ring."""
    with Fleet(site, **environ) as fleet:
        for name in names or ("router", "first", "second", "third"):
            fleet.start(name)
        await fleet.ready()
        yield fleet
