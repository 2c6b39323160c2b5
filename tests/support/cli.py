"""The command line as tests call it: in this process where that is enough, else as a real one."""

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from baton.cli.app import app

TEAM = Path(__file__).parents[1] / "e2e" / "cli_team.py"
PATIENCE_S = 90.0
"""No test is about time: this only ends one that would wait for ever."""


def _heed_ctrl_c() -> None:
    """Let SIGINT reach the child although the shell that started the tests may ignore it (`… &`)."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def objects(self) -> list[dict[str, Any]]:
        """The lines of standard output as JSON."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def object(self) -> dict[str, Any]:
        """The one line of standard output as JSON."""
        (only,) = self.objects
        return only


class Cli:
    """Runs commands in a directory of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def __call__(self, *args: str, stdin: str | bytes = "", **env: str) -> Done:
        """Run a command in this process."""
        previous = Path.cwd()
        os.chdir(self.directory)
        try:
            done = CliRunner().invoke(app, args, input=stdin, env=env, catch_exceptions=False)
        finally:
            os.chdir(previous)
        return Done(done.exit_code, done.stdout, done.stderr)

    def process(self, *args: str, **env: str) -> subprocess.Popen[str]:
        """Start a command as a process."""
        return subprocess.Popen(
            [sys.executable, "-m", "baton", *args],
            cwd=self.directory,
            env=os.environ | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_heed_ctrl_c,  # noqa: PLW1509  # sets one signal and nothing else
        )

    def run(self, *args: str, **env: str) -> Done:
        """Run a command as a process, to its end."""
        return _ended(self.process(*args, **env))

    def serve(self, *args: str, **env: str) -> subprocess.Popen[str]:
        """Start a serving process and return once it says that it is ready."""
        process = self.process("run", *args, **env)
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("serving "), first + process.communicate(timeout=PATIENCE_S)[1]
        return process


def stop(process: subprocess.Popen[str], *signals: signal.Signals) -> Done:
    """Send signals, wait for the end, and return what was printed since."""
    for number in signals:
        process.send_signal(number)
    return _ended(process)


def _ended(process: subprocess.Popen[str]) -> Done:
    """Wait for the end; a process that does not come to it is killed, so that no later test sees it."""
    try:
        out, err = process.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Done(process.returncode, out, err)


def read_until(process: subprocess.Popen[str], part: str) -> str:
    """Read lines of a process's standard output up to one that has `part` in it, and return that."""
    assert process.stdout is not None
    for line in process.stdout:
        if part in line:
            return line
    raise AssertionError(f"the process ended and never printed {part!r}")


def prepared(directory: Path) -> Cli:
    """Return commands in `directory`, with the test's team in it."""
    shutil.copy(TEAM, directory)
    return Cli(directory)
