"""The library's source as these tests see it: read once, parsed, never imported."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "shared" / "baton"

Definition = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One file of the library."""

    name: str
    """Dotted, below `baton`: `journal.contract`; the root package is `__init__`."""
    path: Path
    text: str
    tree: ast.Module

    @property
    def folder(self) -> str:
        """The package that holds it, dotted; empty for what stands directly in `baton`."""
        return ".".join(self.path.relative_to(PACKAGE).parts[:-1])

    def at(self, node: ast.AST) -> str:
        """Say where `node` is, as an editor understands it."""
        return f"{self.path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


@dataclass(frozen=True)
class Function:
    """A function or method, wherever it is defined."""

    name: str
    """Module, classes and functions around it, dotted."""
    node: Definition
    module: Module
    is_method: bool
    is_public: bool
    """Reachable from outside: no underscore on the way, and in no other function."""

    @property
    def parameters(self) -> list[ast.arg]:
        """All parameters but `self` or `cls`, in order."""
        arguments = self.node.args
        rest = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
        return [*self.positional, *arguments.kwonlyargs, *rest]

    @property
    def positional(self) -> list[ast.arg]:
        """The parameters a caller may give by position, but `self` or `cls`."""
        found = [*self.node.args.posonlyargs, *self.node.args.args]
        return found[1:] if self.is_method and "staticmethod" not in decorators(self.node) else found

    def __str__(self) -> str:
        return f"{self.module.at(self.node)} {self.name}"


@cache
def modules() -> tuple[Module, ...]:
    """Return every module of the library."""
    return tuple(_read(path) for path in sorted(PACKAGE.rglob("*.py")))


def _read(path: Path) -> Module:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    name = ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)
    text = path.read_text(encoding="utf-8")
    return Module(name, path, text, ast.parse(text, filename=str(path)))


@cache
def functions() -> tuple[Function, ...]:
    """Return every function of the library, methods and nested ones included."""
    return tuple(function for module in modules() for function in _inside(module, module.tree, module.name))


def _inside(module: Module, parent: ast.AST, prefix: str, *, public: bool = True) -> Iterator[Function]:
    for node in ast.iter_child_nodes(parent):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield from _inside(module, node, prefix, public=public)
            continue
        name = f"{prefix}.{node.name}"
        shown = public and (not node.name.startswith("_") or is_magic(node.name))
        if isinstance(node, ast.ClassDef):
            yield from _inside(module, node, name, public=shown)
        else:
            yield Function(name, node, module, isinstance(parent, ast.ClassDef), shown)
            yield from _inside(module, node, name, public=False)


def is_magic(name: str) -> bool:
    """Whether Python itself calls what has this name."""
    return name.startswith("__") and name.endswith("__")


def decorators(node: Definition | ast.ClassDef) -> set[str]:
    """Return the last word of each decorator's name."""
    calls = (item.func if isinstance(item, ast.Call) else item for item in node.decorator_list)
    return {last_word(item) for item in calls}


def last_word(node: ast.AST) -> str:
    """Return `c` of `a.b.c`, and nothing for what is no name."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def matches(name: str, pattern: str) -> bool:
    """Whether a dotted `name` is meant by `pattern`; `a.*` means `a` and all below it."""
    return fnmatchcase(name, pattern) or name == pattern.removesuffix(".*")


def report(problems: list[str], advice: str) -> str:
    """Return the message of a failed check: every problem on a line, then what to do."""
    return "\n".join(["", *problems, "", advice])
