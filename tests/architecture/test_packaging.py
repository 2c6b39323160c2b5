"""What is installed works from any directory: the editable install, and the wheel that is published."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from uv import find_uv_bin

from tests.architecture.source import PACKAGE, ROOT

pytestmark = pytest.mark.slow

WHERE = "import baton, services, json; print(json.dumps([list(baton.__path__), list(services.__path__)]))"


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    clean = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, cwd=cwd, env=clean | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def imported_from(python: Path, cwd: Path) -> list[list[str]]:
    """Return the folders of `baton` and of `services`, as `python` finds them in `cwd`."""
    found: list[list[str]] = json.loads(run(python, "-c", WHERE, cwd=cwd))
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel with what is installed, asking no index."""
    folder = tmp_path_factory.mktemp("wheel")
    options = (
        "--wheel",
        "--no-build-isolation",
        "--offline",
        "--python",
        sys.executable,
        "--out-dir",
        folder,
    )
    run(find_uv_bin(), "build", *options, cwd=ROOT)
    return next(folder.glob("*.whl"))


def test_the_editable_install_imports_from_elsewhere(tmp_path: Path) -> None:
    assert imported_from(Path(sys.executable), tmp_path) == [[str(PACKAGE)], [str(ROOT / "services")]]


def test_the_wheel_holds_every_file_of_both_packages(wheel: Path) -> None:
    folders = {"baton": PACKAGE, "services": ROOT / "services"}
    expected = {
        f"{name}/{path.relative_to(folder).as_posix()}"
        for name, folder in folders.items()
        for path in folder.rglob("*")
        if path.is_file() and not {"__pycache__", ".baton"} & set(path.parts)
    }
    assert "baton/py.typed" in expected
    assert {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name} == expected


def test_the_wheel_imports_from_elsewhere(wheel: Path, tmp_path: Path) -> None:
    uv, venv = find_uv_bin(), tmp_path / "venv"
    run(uv, "venv", "--python", sys.executable, venv, cwd=tmp_path)
    run(uv, "sync", "--frozen", "--no-dev", "--no-install-project", cwd=ROOT, UV_PROJECT_ENVIRONMENT=str(venv))
    run(uv, "pip", "install", "--offline", "--no-deps", "--python", venv, wheel, cwd=tmp_path)
    site = next(venv.glob("lib/python*/site-packages"))
    assert imported_from(venv / "bin/python", tmp_path) == [[str(site / "baton")], [str(site / "services")]]
    assert "Usage" in run(venv / "bin/baton", "--help", cwd=tmp_path)
