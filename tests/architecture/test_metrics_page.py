"""docs/metrics.md, Prometheus's rules and Grafana's dashboard know the metrics there are."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import pytest
import yaml

from architecture.pages import ROOT, column, page, section, table, tables
from conversion_relay.core.values import Json
from conversion_relay.service.metrics import Metrics
from conversion_relay.service.metrics.catalogue import (
    COUNTERS,
    GAUGES,
    HISTOGRAMS,
    Shape,
    Spread,
)

PAGE = page("docs/metrics.md")
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"
RULE_TESTS = sorted(RULES.parent.glob("*_test.yml"))
DASHBOARD = ROOT / "deploy" / "grafana" / "conversion-relay.json"
SERVICE = ROOT / "src" / "conversion_relay" / "service"
_KINDS: Mapping[str, Mapping[str, Shape | Spread]] = {
    "counter": COUNTERS,
    "gauge": GAUGES,
    "histogram": HISTOGRAMS,
}
_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
_METRIC = re.compile(r"\b(relay_\w+|process_\w+|python_\w+)(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")


def _labels_by_series() -> dict[str, frozenset[str]]:
    """The names of series as queries have them, with their labels."""
    known = {
        f"{name}{suffix}": frozenset(shape.labels) | {"le"}
        for kind, catalogue in _KINDS.items()
        for name, shape in catalogue.items()
        for suffix in _SUFFIXES[kind]
    }
    shown = re.findall(r"^((?:process|python)_\w+)", Metrics().exposition().decode(), re.MULTILINE)
    return known | dict.fromkeys(shown, frozenset({"generation"}))


SERIES = _labels_by_series()


def test_every_metric_is_described() -> None:
    expected = [
        (name, kind, ", ".join(shape.labels))
        for kind, catalogue in _KINDS.items()
        for name, shape in catalogue.items()
    ]
    rows = table(PAGE, "## Metrics")
    assert [(name.strip("`"), kind, labels) for name, kind, labels, _ in rows] == expected


@pytest.mark.parametrize("name", [*COUNTERS, *GAUGES, *HISTOGRAMS])
def test_a_name_follows_the_conventions(name: str) -> None:
    assert re.fullmatch(r"relay_[a-z]+(_[a-z]+)*", name)
    assert not name.endswith(("_total", "_bucket", "_sum", "_count"))
    assert not re.search(r"_(milli|micro|kilo|mega|minutes|hours|ms|kb|mb)", name)


def _unknown(query: str) -> Iterator[str]:
    """Metrics of the query that do not exist, and labels they do not have."""
    for name, selector in _METRIC.findall(query):
        if name not in SERIES:
            yield name
        else:
            for label in _LABEL.findall(re.sub(r'"[^"]*"', "", selector)):
                if label not in SERIES[name]:
                    yield f"{name}: {label}"


def _rules() -> list[dict[str, Json]]:
    content: Mapping[str, list[Mapping[str, list[dict[str, Json]]]]] = yaml.safe_load(
        RULES.read_text("utf-8")
    )
    return [rule for group in content["groups"] for rule in group["rules"]]


def test_every_rule_asks_for_what_exists() -> None:
    recorded = {str(rule["record"]) for rule in _rules() if "record" in rule}
    for rule in _rules():
        query = str(rule["expr"])
        assert list(_unknown(query)) == [], rule
        assert set(re.findall(r"relay:[\w:]+", query)) <= recorded, rule


def test_every_alert_says_what_happens_and_what_to_do() -> None:
    alerts = [rule for rule in _rules() if "alert" in rule]
    for rule in alerts:
        annotations, labels = rule["annotations"], rule["labels"]
        assert isinstance(annotations, dict)
        assert set(annotations) == {"summary", "description"}, rule
        assert isinstance(labels, dict)
        assert labels["severity"] in {"critical", "warning", "{{ $labels.severity }}"}, rule
    described = column(table(PAGE, "## Alerts with Prometheus"))
    assert described == [str(rule["alert"]) for rule in alerts]


def test_every_alert_is_tried() -> None:
    text = "".join(file.read_text("utf-8") for file in RULE_TESTS)
    untried = {
        str(rule["alert"])
        for rule in _rules()
        if "alert" in rule and str(rule["alert"]) not in text
    }
    assert untried == {"RelayUncertain", "RelayLaneThrottled"}


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
@pytest.mark.parametrize("words", [("check", RULES), *(("test", file) for file in RULE_TESTS)])
def test_prometheus_takes_the_rules(words: tuple[str, Path]) -> None:
    verb, file = words
    run = subprocess.run(  # noqa: S603
        [str(shutil.which("promtool")), verb, "rules", str(file)],
        capture_output=True,
        check=False,
        timeout=100,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def _queries(node: Json) -> Iterator[str]:
    """Every expression in the dashboard."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key in {"expr", "definition"} and isinstance(value, str):
                yield value
            else:
                yield from _queries(value)
    elif isinstance(node, list):
        for one in node:
            yield from _queries(one)


def test_the_dashboard_asks_for_what_exists() -> None:
    queries = list(_queries(orjson.loads(DASHBOARD.read_bytes())))
    assert [unknown for query in queries for unknown in _unknown(query)] == []
    named = {name for query in queries for name, _ in _METRIC.findall(query)}
    shown = {name for name in (*COUNTERS, *GAUGES, *HISTOGRAMS) if _is_shown(name, named)}
    assert shown == {*COUNTERS, *GAUGES, *HISTOGRAMS}


def _is_shown(name: str, named: set[str]) -> bool:
    return any(
        f"{name}{suffix}" in named for suffixes in _SUFFIXES.values() for suffix in suffixes
    )


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    panels = orjson.loads(DASHBOARD.read_bytes())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (place["x"] + across, place["y"] + down)
        for place in (panel["gridPos"] for panel in panels)
        for across in range(place["w"])
        for down in range(place["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(across for across, _ in cells) < 24


def test_every_span_is_described() -> None:
    """The first arguments of calls of `span`."""
    spans = {
        first.value
        for file in SERVICE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Call) and getattr(node.func, "attr", None) == "span"
        for first in node.args[:1]
        if isinstance(first, ast.Constant)
    }
    assert set(column(table(PAGE, "## Traces"))) == spans


def test_the_queries_of_the_page_ask_for_what_exists() -> None:
    rows = tables(section(PAGE, "## Metrics"))[1]
    queries = [row[1] for row in rows]
    assert queries
    assert [unknown for query in queries for unknown in _unknown(query)] == []
