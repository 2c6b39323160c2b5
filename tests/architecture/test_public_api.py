"""The public names are a list that somebody wrote, and nothing else."""

import ast
import re

import baton
from tests.architecture.source import PACKAGE

MAX_NAMES = 35


def source() -> str:
    return (PACKAGE / "__init__.py").read_text(encoding="utf-8")


def listing() -> ast.expr:
    """Return the literal that `__all__` is set to."""
    return next(
        node.value
        for node in ast.parse(source()).body
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]
    )


def bound() -> set[str]:
    """Return the names that the root module binds and that do not begin with an underscore."""
    found = set()
    for node in ast.parse(source()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)}
    return {name for name in found if not name.startswith("_")}


def test_all_is_what_is_exported() -> None:
    assert sorted(ast.literal_eval(listing())) == sorted(bound())
    assert [name for name in baton.__all__ if not hasattr(baton, name)] == []


def test_all_is_short_and_without_doubles() -> None:
    assert len(set(baton.__all__)) == len(baton.__all__) <= MAX_NAMES


def test_each_group_of_all_is_sorted() -> None:
    text = ast.get_source_segment(source(), listing()) or ""
    groups = [re.findall(r'"(\w+)"', group) for group in re.split(r"#.*", text)]
    assert groups == [sorted(group, key=str.casefold) for group in groups]
