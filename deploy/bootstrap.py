"""Make `.venv` with everything the project needs; called by the Makefile, needs only Python 3.11 or newer.

Nothing outside `.venv` is changed, no step needs root, and the versions are those of `uv.lock`.
An older Python can read this file too, to look for a newer one.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / "bin" / "python"
OLDEST = (3, 11)
NAMES = ("python3.14", "python3.13", "python3.12", "python3.11")
SYSTEM_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
OWN_CERTIFICATES = VENV / "ca-certificates.pem"
CA_VARIABLES = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")


def say(text: str) -> None:
    print(f"bootstrap: {text}", flush=True)


def stop(problem: str, *, tried: str, to_do: str) -> None:
    say(f"failed: {problem}")
    say(f"tried:  {tried}")
    say(f"to do:  {to_do}")
    sys.exit(1)


def run(*command: object, to_do: str, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    """Run `command`; if it fails, tell what was tried and what to do, and stop."""
    arguments = [str(part) for part in command]
    try:
        code = subprocess.run(arguments, check=False, cwd=cwd, env=env).returncode
        problem = f"code {code}" if code else ""
    except OSError as error:
        problem = str(error)
    if problem:
        stop(problem, tried=" ".join(arguments), to_do=to_do)


def holds(python: object, condition: str) -> bool:
    """Whether `python` runs at all and finds `condition` true."""
    script = f"import sys, importlib.metadata as packages; sys.exit(not ({condition}))"
    try:
        return subprocess.run([str(python), "-c", script], check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def use_new_python() -> None:
    """Go on in a Python that is new enough: this one, or one of `NAMES` on the path."""
    if sys.version_info >= OLDEST:
        return
    for python in filter(None, map(shutil.which, NAMES)):
        if holds(python, f"sys.version_info >= {OLDEST}"):
            os.execv(python, [python, *sys.argv])
    stop(
        f"Baton needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}",
        tried=", ".join(NAMES) + " on the path",
        to_do="install a newer Python, or name one: make install PYTHON=/path/to/python3.12",
    )


def make_venv() -> None:
    """Make an empty `.venv`, unless there is one that works; pip would be one more thing to need."""
    if holds(VENV_PYTHON, f"sys.version_info >= {OLDEST}"):
        return
    say(f"making {VENV} with Python {sys.version.split()[0]}")
    to_do = "make the folder writable; install Python's venv module if it is missing"
    run(sys.executable, "-m", "venv", "--clear", "--without-pip", VENV, to_do=to_do)


def install_uv() -> None:
    """Install the uv that `uv.lock` pins, from the very files it lists."""
    import tomllib

    packages = tomllib.loads((ROOT / "uv.lock").read_text(encoding="utf-8"))["package"]
    uv = next(package for package in packages if package["name"] == "uv")
    if holds(VENV_PYTHON, f"packages.version('uv') == {uv['version']!r}"):
        return
    pip = find_pip_wheel()
    say(f"installing uv {uv['version']} into .venv")
    hashes = " ".join(f"--hash={wheel['hash']}" for wheel in uv["wheels"])
    wanted = VENV / "uv.txt"
    wanted.write_text(f"uv=={uv['version']} {hashes}\n", encoding="ascii")
    options = ("--quiet", "--disable-pip-version-check", "--only-binary=:all:", "-r", wanted)
    to_do = "check that pip reaches its package index (proxy, certificates, PIP_INDEX_URL)"
    run(VENV_PYTHON, pip / "pip", "install", *options, to_do=to_do)


def find_pip_wheel() -> Path:
    """Return a wheel of pip, which runs as it is: Python's own, the distribution's, or a download."""
    folders = [Path("/usr/share/python-wheels")]
    ensurepip = find_spec("ensurepip")
    if ensurepip and ensurepip.origin:
        folders.insert(0, Path(ensurepip.origin).parent / "_bundled")
    wheels = [wheel for folder in folders for wheel in sorted(folder.glob("pip-*.whl"))]
    return wheels[0] if wheels else download_pip_wheel()


def download_pip_wheel() -> Path:
    """Unpack Debian's or Ubuntu's pip below `.venv`, with package lists of our own: no root, no install."""
    say("this Python comes without pip: unpacking the distribution's python3-pip-whl below .venv")
    home = VENV / "apt"
    shutil.rmtree(home, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial", "unpacked"):
        (home / folder).mkdir(parents=True)
    # As root, apt would fetch as a user of its own, who cannot write here.
    settings = (f"Dir::State::Lists={home}/lists", f"Dir::Cache={home}/cache", "APT::Sandbox::User=root")
    apt = ("apt-get", "-qq", *(f"-o{setting}" for setting in settings))
    to_do = "check the network and apt's sources, or install python3-venv (or Python's ensurepip) as root"
    run(*apt, "update", to_do=to_do)
    run(*apt, "download", "python3-pip-whl", "ca-certificates", cwd=home, to_do=to_do)
    for package in home.glob("*.deb"):
        run("dpkg-deb", "-x", package, home / "unpacked", to_do=to_do)
    wheel = next(home.glob("unpacked/usr/share/python-wheels/pip-*.whl"))
    return wheel if SYSTEM_CERTIFICATES.exists() else with_certificates(wheel, home)


def with_certificates(wheel: Path, home: Path) -> Path:
    """Return Debian's pip, unpacked, with certificates of its own; without any it does not start."""
    say("this system has no certificates: using those of the distribution's ca-certificates, unpacked too")
    certificates = sorted(home.glob("unpacked/usr/share/ca-certificates/mozilla/*.crt"))
    OWN_CERTIFICATES.write_text("\n".join(path.read_text() for path in certificates))
    trust_own_certificates()
    zipfile.ZipFile(wheel).extractall(home / "pip")
    read = f"    return open({str(OWN_CERTIFICATES)!r}).read()\n"
    where = f"    return {str(OWN_CERTIFICATES)!r}\n"
    certifi = home / "pip/pip/_vendor/certifi/core.py"
    certifi.write_text(f"def where():\n{where}\n\ndef contents():\n{read}")
    return home / "pip"


def trust_own_certificates() -> None:
    if OWN_CERTIFICATES.exists() and not any(name in os.environ for name in CA_VARIABLES):
        os.environ.update({name: str(OWN_CERTIFICATES) for name in CA_VARIABLES})


def install_packages() -> None:
    say("installing the packages of uv.lock into .venv")
    env = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    env |= {"UV_PROJECT_ENVIRONMENT": str(VENV), "UV_PYTHON_DOWNLOADS": "never"}
    to_do = "check that uv reaches its package index (proxy, SSL_CERT_FILE), or remove .venv and try again"
    # Compiled now: Python would do it at each start where it may not write beside the modules.
    command = (
        VENV / "bin/uv",
        "sync",
        "--frozen",
        "--all-extras",
        "--compile-bytecode",
        "--quiet",
        "--python",
        VENV_PYTHON,
    )
    run(*command, env=env, to_do=to_do)


def main() -> None:
    use_new_python()
    make_venv()
    trust_own_certificates()
    install_uv()
    install_packages()
    shutil.rmtree(VENV / "apt", ignore_errors=True)
    say(f"done: {VENV}")


if __name__ == "__main__":
    main()
