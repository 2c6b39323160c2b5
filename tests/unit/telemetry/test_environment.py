"""What `OTEL_*` choose, and that every mistake is told before anything runs."""

import os

import pytest

from baton.cli import opening
from baton.errors import ConfigError
from baton.telemetry import environment

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("environ", "has_page", "exporters"),
    [
        ({}, False, ()),
        ({}, True, ("prometheus",)),
        (ENDPOINT, False, ("otlp",)),
        (ENDPOINT, True, ("otlp", "prometheus")),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector/v1/metrics"}, False, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://jaeger/v1/traces"}, False, ()),
        ({**ENDPOINT, "OTEL_METRICS_EXPORTER": "prometheus"}, True, ("prometheus",)),
        ({**ENDPOINT, "OTEL_METRICS_EXPORTER": " console , otlp "}, False, ("otlp", "console")),
        ({"OTEL_METRICS_EXPORTER": "otlp,prometheus"}, True, ("prometheus",)),
        ({**ENDPOINT, "OTEL_METRICS_EXPORTER": "none"}, True, ()),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "TRUE"}, True, ()),
    ],
)
def test_metrics_go_where_the_environment_says(
    environ: dict[str, str], has_page: bool, exporters: tuple[str, ...]
) -> None:
    assert environment.metric_exporters(environ, has_page=has_page) == exporters


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("OTEL_METRICS_EXPORTER", "otlp,jaeger", "'otlp,jaeger', with 'jaeger'; allowed are otlp, console, prometheus"),
        ("OTEL_METRICS_EXPORTER", "none,otlp", "none stands alone"),
        ("OTEL_METRICS_EXPORTER", "prometheus", "BATON_HEALTH_PORT"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json", "'http/json'; allowed are http/protobuf, grpc"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "1m", "'1m'; allowed are whole milliseconds > 0"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0", "'0'; allowed are whole milliseconds > 0"),
        ("OTEL_METRICS_EXEMPLAR_FILTER", "some", "'some'; allowed are trace_based, always_on, always_off"),
        ("OTEL_TRACES_EXPORTER", "zipkin", "'zipkin'; allowed are otlp, console, none"),
    ],
)
def test_a_value_that_is_not_known_is_told(name: str, value: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        environment.check({name: value}, has_page=False)
    assert len(caught.value.problems) == 1
    assert told in str(caught.value)


def test_a_protocol_for_both_signals_is_told_once() -> None:
    with pytest.raises(ConfigError) as caught:
        environment.check({"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier pigeon"}, has_page=True)
    assert len(caught.value.problems) == 1


def test_what_is_switched_off_is_not_looked_at() -> None:
    environment.check({"OTEL_SDK_DISABLED": "true", "OTEL_METRICS_EXPORTER": "jaeger"}, has_page=False)


def test_mistakes_of_both_kinds_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    mistakes = {"BATON_LEASE_S": "0.1", "OTEL_METRICS_EXPORTER": "jaeger", "OTEL_TRACES_EXPORTER": "zipkin"}
    for name, value in mistakes.items():
        monkeypatch.setitem(os.environ, name, value)
    with pytest.raises(ConfigError) as caught:
        opening.settings_to_serve()
    assert sorted(problem.split()[0] for problem in caught.value.problems) == sorted(mistakes)
