"""Commands in a directory of their own, where nobody serves or a process does."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli import Cli, prepared, stop


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Commands in an empty directory with the test's team in it; nobody serves."""
    _isolate(monkeypatch)
    return prepared(tmp_path)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    """Commands in a directory whose journal a process serves; the tests of a module share it."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        _isolate(monkeypatch)
        cli = prepared(tmp_path_factory.mktemp("served"))
        process = cli.serve("cli_team.py:team", BATON_LEASE_S="1.5", BATON_GRACE_S="0")
        try:
            yield cli
        finally:
            ended = stop(process, signal.SIGTERM)
            assert (ended.code, ended.out) == (0, ""), ended


def _isolate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out, and what targets import in."""
    for name in list(os.environ):
        if name.startswith(("BATON_", "DESK_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.fixture(autouse=True)
def _forget_targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each test has files of its own under the same names."""
    known, ours = set(sys.modules), str(tmp_path_factory.getbasetemp())
    yield
    for name in sys.modules.keys() - known:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(ours):
            del sys.modules[name]
