"""docs/alerts.md names every rule as the code has it, and the figures of its sentences."""

from __future__ import annotations

from datetime import timedelta

from architecture.pages import page, section, table
from conversion_relay.service.monitor import neighbouring, silence
from conversion_relay.service.monitor.duty import LEASE
from conversion_relay.service.monitor.life import CALM, GRACE
from conversion_relay.service.monitor.rules import MONITOR_BROKEN, RULES
from conversion_relay.service.monitor.view import Rule
from conversion_relay.service.monitor.watch import TICK_SECONDS
from conversion_relay.service.store.cluster import LOST_AFTER

PAGE = page("docs/alerts.md")


def test_every_rule_is_on_the_page_as_it_is() -> None:
    assert table(PAGE, "## Rules") == [_row(rule) for rule in (*RULES, MONITOR_BROKEN)]


def _row(rule: Rule) -> list[str]:
    yields = ", ".join(f"`{one.name}`" for one in RULES if one.name in rule.yields_to)
    soon = f"{_seconds(rule.patience)} s" if rule.patience else "at once"
    return [f"`{rule.name}`", rule.severity.value, rule.when, soon, yields, rule.advice]


def test_the_figures_of_the_page_are_those_of_the_code() -> None:
    text = " ".join(section(PAGE, "## Rules").split())
    for figure in (
        f"every {TICK_SECONDS:g} seconds",
        f"resolved once nothing has been found for {_seconds(CALM)} seconds",
        f"in the first {_seconds(GRACE) // 60} minutes after a start",
        f"longer than {_seconds(silence.LEAST)} seconds",
        f"{silence.PATIENCE} times its usual gap",
        f"the last {silence.KNOWN_FOR // timedelta(days=1)} days",
        f"fewer than {silence.LEAST_ARRIVALS} times",
        f"for less than {_seconds(silence.LEAST_KNOWN) // 60} minutes",
        f"by a lease of {_seconds(LEASE)} seconds",
        f"within {_seconds(LEASE) + int(TICK_SECONDS) + 1} seconds of a",
        f"after {_seconds(neighbouring.CUT_OFF_AFTER)} seconds without an answer",
        f"no sign of life for {_seconds(LOST_AFTER)} seconds",
        f"by more than {_seconds(neighbouring.CLOCKS_APART)} seconds",
    ):
        assert figure in text, figure


def _seconds(length: timedelta) -> int:
    return int(length.total_seconds())
