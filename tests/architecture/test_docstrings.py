"""What is public is documented: its effect, the errors it raises, and the unit of every time."""

import ast
import re
from collections.abc import Iterator

from tests.architecture.source import (
    Function,
    Module,
    decorators,
    functions,
    is_magic,
    last_word,
    modules,
    report,
)

TIME_WORDS = {"timeout", "delay", "interval", "ttl", "backoff", "deadline"}
UNITS = {"s", "bytes", "count", "at"}


def classes(module: Module) -> Iterator[ast.ClassDef]:
    """Yield the public classes of a module, those in public classes included."""
    waiting: list[ast.Module | ast.ClassDef] = [module.tree]
    while waiting:
        found = [node for node in waiting.pop().body if isinstance(node, ast.ClassDef) and node.name[0] != "_"]
        yield from found
        waiting.extend(found)


def needs_docstring(function: Function) -> bool:
    inherits_it = decorators(function.node) & {"override", "overload", "setter"}
    return function.is_public and not is_magic(function.node.name) and not inherits_it


def raised(function: Function) -> set[str]:
    """Return the errors named in the `raise` statements of a function, but not of functions in it."""
    found: set[str] = set()
    waiting: list[ast.AST] = list(function.node.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Raise) and node.exc:
            found.add(last_word(node.exc.func if isinstance(node.exc, ast.Call) else node.exc))
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))
    return {name for name in found if name.endswith("Error")}


def fields(module: Module) -> Iterator[tuple[ast.AST, str, ast.expr]]:
    """Yield node, name and annotation of each parameter, and of each field of a class."""
    for function in functions():
        if function.module is module:
            yield from ((p, p.arg, p.annotation) for p in function.parameters if p.annotation)
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef):
            yield from (
                (item, item.target.id, item.annotation)
                for item in node.body
                if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
            )


def lacks_unit(name: str, annotation: ast.expr) -> bool:
    words = name.lower().split("_")
    is_number = re.search(r"\b(int|float)\b", ast.unparse(annotation))
    return bool(is_number and TIME_WORDS & set(words) and words[-1] not in UNITS)


def test_modules_and_classes_have_docstrings() -> None:
    problems = [module.at(module.tree) for module in modules() if not ast.get_docstring(module.tree)]
    problems += [f"{m.at(c)} {c.name}" for m in modules() for c in classes(m) if not ast.get_docstring(c)]
    assert not problems, report(problems, "Say what flows in and out, or what one of these is.")


def test_public_functions_have_docstrings() -> None:
    problems = [str(f) for f in functions() if needs_docstring(f) and not ast.get_docstring(f.node)]
    assert not problems, report(problems, "Say what the call does, not what its types are.")


def test_docstrings_name_the_errors_that_are_raised() -> None:
    problems = [
        f"{function} raises {name}"
        for function in functions()
        if needs_docstring(function)
        for name in sorted(raised(function))
        if name not in (ast.get_docstring(function.node) or "")
    ]
    assert not problems, report(problems, "Name the error, and when it comes, under `Raises:`.")


def test_times_carry_their_unit() -> None:
    problems = [
        f"{module.at(node)} {name}"
        for module in modules()
        for node, name, annotation in fields(module)
        if lacks_unit(name, annotation)
    ]
    assert not problems, report(problems, f"End the name in a unit: {', '.join(sorted(f'_{u}' for u in UNITS))}.")
