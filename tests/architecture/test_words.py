"""One word per thing, and comments that tell why the code is so, not how it came to be."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator

from tests.architecture.source import ROOT, Module, modules, report

WORDS = re.compile(r"transfer_?to|dispatcher|orchestrator", re.IGNORECASE)
"""Other frameworks' words for a handoff and a router."""

COMMENTS = re.compile(
    r"\b(TODO|FIXME|XXX|HACK)\b"
    r"|\b(used to be|formerly|was renamed|renamed (from|to))\b"
    r"|\b(in|before|until) (an? )?(earlier|older|previous|old) (version|release)"
    r"|[-=#*~_]{4}"
)
"""Work left over, history, and banner lines: the first belongs in an issue, the second in git."""


def names(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield every name that the module gives to something."""
    yield module.tree, module.name
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node, node.name
        elif isinstance(node, ast.arg):
            yield node, node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node, node.id if isinstance(node, ast.Name) else node.attr


def comments(module: Module) -> Iterator[tuple[int, str]]:
    """Yield each comment and each line of a docstring, with its line number."""
    for token in tokenize.generate_tokens(io.StringIO(module.text).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and token.string.startswith('"""')):
            yield from enumerate(token.string.splitlines(), token.start[0])


def test_names_use_our_words() -> None:
    problems = [f"{m.at(node)} {name}" for m in modules() for node, name in names(m) if WORDS.search(name)]
    assert not problems, report(problems, "Say handoff, router, hop: design.md lists one word per thing.")


def test_comments_tell_why_and_not_what_was() -> None:
    problems = [
        f"{module.path.relative_to(ROOT)}:{line} {text.strip()}"
        for module in modules()
        for line, text in comments(module)
        if COMMENTS.search(text)
    ]
    assert not problems, report(problems, "Say what holds now and why; leave the rest to git and the issues.")
