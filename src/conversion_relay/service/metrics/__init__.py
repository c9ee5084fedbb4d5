"""Counters, gauges and histograms for Prometheus, in a registry of their own."""

from conversion_relay.service.metrics.figures import Figures
from conversion_relay.service.metrics.registry import Metrics, Reading

__all__ = ["Figures", "Metrics", "Reading"]
