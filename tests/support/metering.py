"""What was counted, as a test reads it."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader

from baton.telemetry import names


class Counted:
    """Instruments in memory, and what they show."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self._provider = MeterProvider([self._reader], shutdown_on_exit=False)
        self.meter: Meter = self._provider.get_meter(names.SCOPE)
        self._examples: set[tuple[str, str, str]] = set()

    def points(self) -> Iterator[tuple[str, Any]]:
        """Yield each point with the name of its metric."""
        data = self._reader.get_metrics_data()
        for resource in data.resource_metrics if data else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        self._keep_examples(metric.name, point)
                        yield metric.name, point

    def _keep_examples(self, name: str, point: Any) -> None:
        """Keep what a reader is shown once."""
        shown = (one for one in getattr(point, "exemplars", ()) if one.span_id)
        self._examples |= {(name, f"{one.trace_id:032x}", f"{one.span_id:016x}") for one in shown}

    def of(self, metric: names.Metric, *labels: str) -> dict[str, float]:
        """Return a metric's counts by the values of some of its labels, with `/` between; zeros are left out."""
        found: Counter[str] = Counter()
        for name, point in self.points():
            if name == metric.name:
                key = "/".join(str(point.attributes.get(label, "-")) for label in labels)
                found[key] += point.count if isinstance(point, HistogramDataPoint) else point.value
        return {key: count for key, count in sorted(found.items()) if count}

    def sum_s(self, metric: names.Metric) -> float:
        """Return the sum of a histogram in seconds."""
        return float(sum(point.sum for name, point in self.points() if name == metric.name))

    def exemplars(self, metric: names.Metric) -> set[tuple[str, str]]:
        """Return trace and span of what a metric showed as examples so far, as hex digits."""
        list(self.points())
        return {(trace_id, span_id) for name, trace_id, span_id in self._examples if name == metric.name}
