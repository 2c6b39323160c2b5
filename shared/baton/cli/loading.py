"""Targets: what `baton run` is told to serve.

In: `module[:attr]`, `file.py[:attr]` or `router`. Out: a `Team`, an `Agent`, or the router.
"""

import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import TypeAlias

from baton.agent import ROUTER, Agent
from baton.errors import ConfigError, TargetError
from baton.team import Team

Target: TypeAlias = Team | Agent | str
"""What a target names; the string is `router`."""


def load(target: str) -> Target:
    """Return what `target` names. The working directory is importable.

    Raises:
        TargetError: It cannot be imported, or names neither team nor agent.
    """
    if target == ROUTER:
        return ROUTER
    place, _, attribute = target.partition(":")
    if not place:
        raise TargetError(f"target {target!r} names no module; write module[:attr], file.py[:attr] or router")
    _make_importable(Path.cwd())
    module = _file(Path(place)) if place.endswith(".py") else _module(place)
    found = _attribute(module, place, attribute) if attribute else _only_team(module, place)
    if not isinstance(found, Team | Agent):
        raise TargetError(f"target {target!r} is {type(found).__name__}; allowed are a Team and an Agent")
    return found


def load_team(target: str) -> Team:
    """Return the team that `target` names.

    Raises:
        TargetError: It names none.
    """
    found = load(target)
    if not isinstance(found, Team):
        raise TargetError(f"target {target!r} is {found!r}; a Team is needed")
    return found


def team_of(target: str, agent: Agent) -> Team | None:
    """Return the team that `target`'s module makes the agent part of; None: it makes none.

    Raises:
        ConfigError: There are several.
    """
    place = target.partition(":")[0]
    module = _file(Path(place)) if place.endswith(".py") else _module(place)
    found = [one for one in vars(module).values() if isinstance(one, Team) and agent in one.agents.values()]
    if len({id(team) for team in found}) > 1:
        names = ", ".join(sorted(team.name for team in found))
        raise ConfigError(f"{target} is an agent of several teams ({names}); one process serves one")
    return found[0] if found else None


def _attribute(module: ModuleType, place: str, attribute: str) -> object:
    found: object = module
    for name in attribute.split("."):
        if not hasattr(found, name):
            known = ", ".join(_names(module, Team) + _names(module, Agent)) or "no team and no agent"
            raise TargetError(f"{place} has no {attribute!r}; it has {known}")
        found = getattr(found, name)
    return found


def _only_team(module: ModuleType, place: str) -> object:
    names = _names(module, Team)
    if len(names) == 1:
        return getattr(module, names[0])
    seen = f"{len(names)} teams ({', '.join(names)})" if names else "no team"
    agents = _names(module, Agent)
    such_as = (names or agents or ["attr"])[0]
    raise TargetError(f"{place} has {seen}; say which one to take, as {place}:{such_as}")


def _names(module: ModuleType, kind: type) -> list[str]:
    return [name for name, value in vars(module).items() if isinstance(value, kind)]


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            hint = f"; is {name}.py meant?" if Path(f"{name}.py").exists() else ""
            raise TargetError(f"no module {name!r} in {Path.cwd()} or the installed packages{hint}") from error
        raise _failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _failed(name, error) from error


def _file(path: Path) -> ModuleType:
    if not path.is_file():
        raise TargetError(f"no file {str(path)!r}, seen from {Path.cwd()}")
    _make_importable(path.resolve().parent)
    # The stem is the name by which the file's neighbours import it, unless another module has it.
    known = sys.modules.get(path.stem)
    if known is not None and getattr(known, "__file__", None) == str(path.resolve()):
        return known
    name = path.stem if known is None else f"baton_target_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    assert spec is not None, "a .py file has a spec"
    assert spec.loader is not None, "and a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failed(str(path), error) from error
    return module


def _failed(place: str, error: BaseException) -> TargetError:
    """Return what went wrong in the user's own code, with the line that did it."""
    if isinstance(error, SyntaxError):
        return TargetError(f"{error.filename}, line {error.lineno}: {error.msg}")
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if "importlib" not in one.filename and not _is_library(one.filename)]
    where = f"{own[-1].filename}, line {own[-1].lineno}" if own else place
    problems = error.problems if isinstance(error, ConfigError) else [f"{type(error).__name__}: {error}"]
    return TargetError([f"{where}: {problem}" for problem in problems])


def _is_library(filename: str) -> bool:
    return Path(filename).is_relative_to(Path(__file__).parents[1])


def _make_importable(directory: Path) -> None:
    if str(directory) not in sys.path:
        sys.path.insert(0, str(directory))
