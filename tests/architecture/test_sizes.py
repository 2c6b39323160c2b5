"""Modules and functions stay small enough to be read at once; lengths count docstrings, as research did."""

from statistics import median

import baton.testing
from tests.architecture.source import Function, functions, is_magic, matches, modules, report

MODULE_MEDIAN, MODULE_MAX = 150, 350
FUNCTION_P50, FUNCTION_P90, FUNCTION_MAX = 10, 28, 60
MAX_PARAMETERS = 6
MAX_POSITIONAL = 2

EXCUSED = {
    "agent.Agent.__init__": "an agent is declared in one call; all but two are keywords",
    "client.Client.send": "the fields of a request; all but the text are keywords",
    "client.Client.reply": "the fields of a reply; all but the run and the text are keywords",
    "hop.steps.Steps.__init__": "made in one place, from a claim",
    "hop.turn.Turn.__init__": "made in one place, from a claim; users get it ready",
    "protocol.opening.opening": "the columns of a run that begins",
    "testing.builders.*": "a builder has a keyword for whatever a test may want otherwise",
    "cli.*": "the parameters of a command are its options",
}
"""Functions that may have more parameters, each with its reason."""


def lines(function: Function) -> int:
    return (function.node.end_lineno or 0) - function.node.lineno + 1


def is_excused(function: Function) -> bool:
    return any(matches(function.name, pattern) for pattern in EXCUSED)


def test_modules_are_short() -> None:
    sizes = {module.name: len(module.text.splitlines()) for module in modules()}
    problems = [f"{name}: {size} lines" for name, size in sizes.items() if size > MODULE_MAX]
    assert not problems, report(problems, f"A module has at most {MODULE_MAX} lines: split it where its words split.")
    middle = median(len(m.text.splitlines()) for m in modules() if m.path.name != "__init__.py")
    assert middle <= MODULE_MEDIAN, f"the median module has {middle:g} lines, over {MODULE_MEDIAN}"


def test_functions_are_short() -> None:
    problems = [f"{function}: {lines(function)} lines" for function in functions() if lines(function) > FUNCTION_MAX]
    assert not problems, report(problems, f"A function has at most {FUNCTION_MAX} lines: name its parts.")
    sizes = sorted(lines(function) for function in functions())
    p50, p90 = (sizes[len(sizes) * share // 100] for share in (50, 90))
    assert p50 <= FUNCTION_P50, f"the median function has {p50} lines, over {FUNCTION_P50}"
    assert p90 <= FUNCTION_P90, f"a tenth of the functions has {p90} lines or more, over {FUNCTION_P90}"


def test_functions_take_few_parameters() -> None:
    problems = [
        f"{function}: {len(function.parameters)}"
        for function in functions()
        if len(function.parameters) > MAX_PARAMETERS and not is_excused(function)
    ]
    assert not problems, report(
        problems,
        f"At most {MAX_PARAMETERS} parameters: make one value of those that travel together, or see EXCUSED.",
    )


def is_for_users(function: Function) -> bool:
    """Return True for what users call or implement; inside, types tell parameters apart."""
    exported = {*baton.__all__, *baton.testing.__all__}
    return bool(exported & set(function.name.split("."))) or ".contract." in function.name


def test_functions_for_users_take_two_parameters_by_position() -> None:
    problems = [
        f"{function}: {', '.join(parameter.arg for parameter in function.positional)}"
        for function in functions()
        if is_for_users(function)
        and function.is_public
        and len(function.positional) > MAX_POSITIONAL
        and not is_excused(function)
        if function.node.name == "__init__" or not is_magic(function.node.name)
    ]
    assert not problems, report(problems, f"Put `*` after the parameter number {MAX_POSITIONAL} or earlier.")
