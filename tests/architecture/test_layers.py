"""Imports go down only: a module can be read knowing nothing of what is above it."""

import ast
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.architecture.source import Module, matches, modules, report

LAYERS = (
    ("errors", "ids", "failpoints", "codec", "propagation"),
    ("card", "envelope", "request", "outcome", "config"),
    ("journal.records", "journal.messages", "journal.views"),
    ("protocol.*", "routing.*"),
    ("journal.contract", "broker.contract", "evaluation.*"),
    ("journal.*", "broker.*", "topology.*", "telemetry.*"),
    ("agent", "team", "urls", "health", "presence"),
    ("hop.*", "router", "results"),
    ("housekeeping", "ingress"),
    ("service", "client", "remote", "__init__"),
    ("cli.*", "testing.*", "bench.*", "__main__"),
)
"""Lowest first; a module imports from its own layer and those below. The longest pattern decides."""

UPWARD: dict[tuple[str, str], str] = {
    ("team", "service"): "`Team.run` serves the team in this process: a first program needs nothing else",
}
"""Imports inside a function that may go up, (importer, imported), each with its reason."""

MAX_DEPTH = 10
"""From the command line down to the errors; a folder counts once."""

Graph = dict[str, set[str]]

OWNERS = {
    "aio_pika": "broker.rabbitmq.*",
    "aiormq": "broker.rabbitmq.*",
    "alembic": "journal.postgres.*",
    "asyncpg": "journal.postgres.*",
    "numpy": "routing.*",
    "onnx": "routing.integer_products",
    "onnxruntime": "routing.minilm",
    "opentelemetry.exporter": "telemetry.setup",
    "opentelemetry.sdk": "telemetry.setup",
    "prometheus_client": "telemetry.setup",
    "psycopg": "journal.postgres.*",
    "re2": "routing.rules",
    "sqlalchemy": "journal.postgres.*",
    "sqlite3": "journal.sqlite*",
    "tokenizers": "routing.minilm",
}
"""Libraries that one part alone may import, so that the rest does without."""

FORBIDDEN_NAMES = {"utils", "common", "base", "manager", "helpers"}
"""They say nothing about what is inside, so everything ends up there."""

HEAVY = (
    "numpy",
    "aio_pika",
    "aiohttp",
    "asyncpg",
    "onnx",
    "onnxruntime",
    "opentelemetry",
    "prometheus_client",
    "psycopg",
    "re2",
    "sqlalchemy",
)
"""What `import baton` may not load: commands, tests and light services start without it."""

AIM_MS = 250


def layer_of(name: str) -> int | None:
    found = [(len(p), layer) for layer, patterns in enumerate(LAYERS) for p in patterns if matches(name, p)]
    return max(found)[1] if found else None


def statements(tree: ast.AST, *, at_load: bool) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that run: at load time only, or in functions too; never those for type checkers."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from statements(ast.Module(node.orelse, []), at_load=at_load)
        elif not (at_load and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from statements(node, at_load=at_load)


def targets(module: Module, statement: ast.Import | ast.ImportFrom) -> set[str]:
    """Return the dotted names that a statement imports: modules, or names in them."""
    if isinstance(statement, ast.Import):
        return {alias.name for alias in statement.names}
    start = statement.module or ""
    if statement.level:
        package = ["baton", *module.name.split(".")]
        up = statement.level - (module.path.name == "__init__.py")
        start = ".".join([*package[: len(package) - up], *start.split(".")]).rstrip(".")
    return {f"{start}.{alias.name}" for alias in statement.names}


def imports(module: Module, *, at_load: bool) -> set[str]:
    """Return the modules of the library that `module` imports."""
    known = {"baton": "__init__"} | {f"baton.{m.name}": m.name for m in modules()}
    wanted = {t for s in statements(module.tree, at_load=at_load) for t in targets(module, s)}
    found = {known.get(target) or known.get(target.rpartition(".")[0]) for target in wanted}
    return {name for name in found if name} - {module.name}


def test_every_module_has_a_layer() -> None:
    problems = [module.name for module in modules() if layer_of(module.name) is None]
    assert not problems, report(problems, "Add each to its layer: LAYERS in tests/architecture/test_layers.py.")


def test_imports_go_down_only() -> None:
    problems = [
        f"{module.name} (layer {layer_of(module.name)}) imports {name} (layer {layer_of(name)})"
        for module in modules()
        for name in sorted(imports(module, at_load=False))
        if (layer_of(name) or 0) > (layer_of(module.name) or 0) and (module.name, name) not in UPWARD
    ]
    assert not problems, report(
        problems,
        "Move what is shared down, or the importer up; an import in a function may be excused in UPWARD.",
    )


def test_excused_imports_run_in_functions_and_exist() -> None:
    later = {(m.name, name) for m in modules() for name in imports(m, at_load=False) - imports(m, at_load=True)}
    problems = [" imports ".join(pair) for pair in UPWARD.keys() - later]
    assert not problems, report(problems, "Take it out of UPWARD: it is gone, or runs when the module is loaded.")


def in_order(graph: Graph) -> list[str]:
    """Return the names with what they import before them; fail at a cycle."""
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail("import cycle: " + " <- ".join(error.args[1]))


def test_there_is_no_import_cycle() -> None:
    in_order({module.name: imports(module, at_load=True) for module in modules()})


def test_chains_of_imports_are_short() -> None:
    """A folder counts as one: it is opened as one, and its own modules are close to each other."""
    folders = {module.name: module.folder or module.name for module in modules()}
    graph: Graph = defaultdict(set)
    for module in modules():
        below = {folders[name] for name in imports(module, at_load=True)}
        graph[folders[module.name]] |= below - {folders[module.name]}
    chains: dict[str, list[str]] = {}
    for name in in_order(graph):
        chains[name] = [name, *max((chains[below] for below in sorted(graph[name])), key=len, default=[])]
    longest = max(chains.values(), key=len)
    assert len(longest) - 1 <= MAX_DEPTH, "too deep: " + " -> ".join(longest)


@pytest.mark.parametrize(("library", "owner"), OWNERS.items())
def test_a_library_is_imported_only_by_its_owner(library: str, owner: str) -> None:
    problems = [
        f"{module.at(statement)} {module.name}"
        for module in modules()
        for statement in statements(module.tree, at_load=False)
        if any(matches(target, f"{library}.*") for target in targets(module, statement))
        and not matches(module.name, owner)
    ]
    assert not problems, report(problems, f"Only {owner} may import {library}.")


def test_module_names_say_what_is_inside() -> None:
    problems = [module.name for module in modules() if FORBIDDEN_NAMES & set(module.name.split("."))]
    assert not problems, report(problems, "Name the module after what it holds.")


def test_importing_baton_is_light(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = (
        "import json, sys, time; start = time.perf_counter(); import baton; "
        "print(json.dumps([sorted(sys.modules), (time.perf_counter() - start) * 1000]))"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded, took_ms = json.loads(done.stdout)
    with capsys.disabled():
        print(f" import baton: {took_ms:.0f} ms (aim: at most {AIM_MS}) ", end="")
    problems = [name for name in loaded if any(matches(name, f"{heavy}.*") for heavy in HEAVY)]
    assert not problems, report(problems, "Import it where it is used, not when baton is loaded.")
