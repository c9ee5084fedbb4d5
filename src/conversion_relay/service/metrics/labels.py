"""What keeps labels few and cheap: counts looked up once, and names that are not made up.

Knows no metric.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from typing_extensions import override

from conversion_relay.service.metrics.catalogue import Shape, Spread

OTHER: Final = "other"
"""The label of all that would be too many, or too much to say."""
MOST_NAMES: Final = 100


class Count:
    """How often something happened. For the event loop's thread alone."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """So often more."""
        self.value += amount


class Counted(Collector):
    """A counter by its labels.

    Prometheus's own would do, but for its price: it locks for each count, and every event has
    several; and whoever asks every few seconds how far each has got would wait for 10 us apiece.
    """

    def __init__(self, name: str, shape: Shape) -> None:
        self._name = name
        self._shape = shape
        self._counts: dict[tuple[str, ...], Count] = {}

    def labels(self, *values: str) -> Count:
        """The one with these values of the labels, in their order."""
        found = self._counts.get(values)
        if found is None:
            if len(values) != len(self._shape.labels):
                message = f"{self._name} has the labels {self._shape.labels}, not {values}"
                raise ValueError(message)
            found = self._counts[values] = Count()
        return found

    def readings(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """The values of the labels of each, and how far it has counted."""
        return ((values, count.value) for values, count in self._counts.items())

    @override
    def collect(self) -> Iterator[CounterMetricFamily]:
        """As Prometheus is told."""
        family = CounterMetricFamily(self._name, self._shape.help, labels=self._shape.labels)
        for values, value in self.readings():
            family.add_metric(values, value)
        yield family


class Times:
    """How long something took each time. For one thread alone, as `Count` is.

    Attributes:
        count: how often it was observed.
        seconds: how long it took together.
    """

    __slots__ = ("_bounds", "_in_bucket", "count", "seconds")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._in_bucket = [0] * len(bounds)
        self.count = 0
        self.seconds = 0.0

    def observe(self, seconds: float) -> None:
        """It took so long once more."""
        self.count += 1
        self.seconds += seconds
        bucket = bisect_left(self._bounds, seconds)
        if bucket < len(self._bounds):
            self._in_bucket[bucket] += 1

    def buckets(self) -> list[tuple[str, float]]:
        """How often it took no longer, by the bounds as Prometheus writes them."""
        names = (*map(str, self._bounds), "+Inf")
        return list(zip(names, (*accumulate(self._in_bucket), self.count), strict=True))


class Timed(Collector):
    """A histogram by its labels, for the same reasons as `Counted`."""

    def __init__(self, name: str, spread: Spread) -> None:
        self._name = name
        self._spread = spread
        self._children: dict[tuple[str, ...], Times] = {}

    def labels(self, *values: str) -> Times:
        """The one with these values of the labels, in their order."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = Times(self._spread.buckets)
        return child

    @override
    def collect(self) -> Iterator[HistogramMetricFamily]:
        """As Prometheus is told."""
        spread = self._spread
        family = HistogramMetricFamily(self._name, spread.help, labels=spread.labels)
        for values, times in tuple(self._children.items()):
            family.add_metric(values, times.buckets(), times.seconds)
        yield family


class Few:
    """Lets so many different values be labels for each subject; all others are OTHER."""

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._known: dict[tuple[str, ...], set[str]] = {}

    def allow(self, subject: tuple[str, ...], values: Iterable[str]) -> None:
        """These may be labels of the subject, as far as there is room."""
        known = self._known.setdefault(subject, set())
        for value in values:
            if len(known) < self._most:
                known.add(value)

    def known(self, value: str, *subject: str) -> str:
        """The value, if it is allowed for the subject."""
        return value if value in self._known.get(subject, ()) else OTHER

    def new(self, value: str, *subject: str) -> str:
        """The value, if it is allowed or there is room; from then on it is."""
        self.allow(subject, (value,))
        return self.known(value, *subject)
