"""What `OTEL_*` say of where spans and metrics go, checked before anything is loaded.

In: the environment. Out: names of exporters, or all mistakes at once. The rest of `OTEL_*` is left to the SDK.
"""

from collections.abc import Mapping

from baton.errors import ConfigError

PROTOCOLS = ("http/protobuf", "grpc")
EXPORTERS = ("otlp", "console", "none")
METRIC_EXPORTERS = ("otlp", "console", "prometheus", "none")
EXEMPLAR_FILTERS = ("trace_based", "always_on", "always_off")
_PREFIX = "OTEL_EXPORTER_OTLP_"


def exporter_name(environ: Mapping[str, str]) -> str:
    """Return where traces go: `otlp`, `console` or `none`.

    Raises:
        ConfigError: `OTEL_TRACES_EXPORTER` or the protocol is none that is known.
    """
    if _is_disabled(environ):
        return "none"
    name = environ.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    problems = [] if name in EXPORTERS else [f"OTEL_TRACES_EXPORTER is {name!r}; allowed are {', '.join(EXPORTERS)}"]
    if problems := problems + _protocol_problems(environ, "TRACES"):
        raise ConfigError(problems)
    return "none" if name == "otlp" and not _has_endpoint(environ, "TRACES") else name


def metric_exporters(environ: Mapping[str, str], *, has_page: bool) -> tuple[str, ...]:
    """Return where metrics go: any of `otlp`, `console` and `prometheus`, which is the page.

    Args:
        environ: `OTEL_*`.
        has_page: Whether the page has a port. Then it is there unless `OTEL_METRICS_EXPORTER` is `none`.

    Raises:
        ConfigError: A variable has a value that is not known, or the page is wanted and has no port.
    """
    if _is_disabled(environ):
        return ()
    given = environ.get("OTEL_METRICS_EXPORTER", "").strip() or "otlp"
    wanted = [name.strip() for name in given.split(",")]
    problems = _protocol_problems(environ, "METRICS") + _number_problems(environ)
    if strange := [name for name in wanted if name not in METRIC_EXPORTERS]:
        told = f"allowed are {', '.join(METRIC_EXPORTERS)}, some of them with commas between"
        problems.append(f"OTEL_METRICS_EXPORTER is {given!r}, with {', '.join(map(repr, strange))}; {told}")
    if "none" in wanted and len(wanted) > 1:
        problems.append(f"OTEL_METRICS_EXPORTER is {given!r}; none stands alone")
    if "prometheus" in wanted and not has_page:
        problems.append("OTEL_METRICS_EXPORTER has prometheus, whose page is at BATON_HEALTH_PORT; set that, too")
    if (kind := environ.get("OTEL_METRICS_EXEMPLAR_FILTER", EXEMPLAR_FILTERS[0])) not in EXEMPLAR_FILTERS:
        problems.append(f"OTEL_METRICS_EXEMPLAR_FILTER is {kind!r}; allowed are {', '.join(EXEMPLAR_FILTERS)}")
    if problems:
        raise ConfigError(problems)
    if "none" in wanted:
        return ()
    page = ("prometheus",) if has_page else ()
    pushed = [name for name in ("otlp", "console") if name in wanted]
    return (*(name for name in pushed if name != "otlp" or _has_endpoint(environ, "METRICS")), *page)


def check(environ: Mapping[str, str], *, has_page: bool) -> None:
    """Look for mistakes in `OTEL_*`, and load nothing.

    Raises:
        ConfigError: Tells all of them.
    """
    problems: list[str] = []
    for look in (lambda: exporter_name(environ), lambda: metric_exporters(environ, has_page=has_page)):
        try:
            look()
        except ConfigError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    if problems:
        raise ConfigError(problems)


def protocol(environ: Mapping[str, str], signal: str) -> str:
    """Return how a signal (`TRACES`, `METRICS`) is exported by OTLP: one of `PROTOCOLS`, or a mistake."""
    given = environ.get(f"{_PREFIX}{signal}_PROTOCOL") or environ.get(f"{_PREFIX}PROTOCOL") or PROTOCOLS[0]
    return given.strip()


def _is_disabled(environ: Mapping[str, str]) -> bool:
    return environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def _has_endpoint(environ: Mapping[str, str], signal: str) -> bool:
    return any(environ.get(f"{_PREFIX}{name}") for name in ("ENDPOINT", f"{signal}_ENDPOINT"))


def _protocol_problems(environ: Mapping[str, str], signal: str) -> list[str]:
    given = protocol(environ, signal)
    return [] if given in PROTOCOLS else [f"{_PREFIX}PROTOCOL is {given!r}; allowed are {', '.join(PROTOCOLS)}"]


def _number_problems(environ: Mapping[str, str]) -> list[str]:
    problems = []
    for name in ("OTEL_METRIC_EXPORT_INTERVAL", "OTEL_METRIC_EXPORT_TIMEOUT"):
        given = environ.get(name, "1")
        if not (given.strip().isdecimal() and int(given) > 0):
            problems.append(f"{name} is {given!r}; allowed are whole milliseconds > 0")
    return problems
