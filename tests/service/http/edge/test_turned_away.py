"""Everything is counted; the log has one line in ten seconds for each problem."""

from __future__ import annotations

from conversion_relay.service.http.edge.turned_away import TurnedAway
from conversion_relay.service.metrics import Metrics
from support.lines import Lines


def test_a_flood_is_counted_and_makes_few_lines() -> None:
    metrics, log, seconds = Metrics(), Lines(), [0.0]
    away = TurnedAway(metrics, log, lambda: seconds[-1])
    for problem in ["busy"] * 50 + ["too-slow"] + ["busy"] * 50:
        away.note(problem)
    assert log.events == ["door.turned_away", "door.turned_away"]
    seconds.append(10.0)
    away.note("busy")
    assert [details["count"] for _, _, details in log.lines] == [1, 1, 100]
    assert b'relay_turned_away_total{problem="busy"} 101.0' in metrics.exposition()
