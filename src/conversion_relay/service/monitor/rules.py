"""The rules of the flow as one table, and what they find at a moment. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from conversion_relay.service.alerting.alert import SERVICE, Finding, Severity
from conversion_relay.service.monitor import arriving, delivering, keeping
from conversion_relay.service.monitor.node_rules import NODE_CUT_OFF, NODE_RULES
from conversion_relay.service.monitor.view import Found, Rule, View

_C, _W = Severity.CRITICAL, Severity.WARNING
_NONE: Final = timedelta()
_SHORT: Final = timedelta(seconds=5)
_SOME: Final = timedelta(seconds=15)
_LONG: Final = timedelta(seconds=30)
_STOPS: Final = frozenset({"lane_held", "lane_open"})
_STANDS: Final = _STOPS | {"throttled", "delivery_failing", "worker_stuck", "store_failing"}
_DOOR: Final = frozenset(
    {"signature_failures", "half_signed", "requests_refused", "overloaded", "store_failing"}
)

RULES: Final[Sequence[Rule]] = (
    Rule(
        "lane_held",
        _C,
        delivering.lane_held,
        _NONE,
        "TikTok refuses the access token, the pixel or a setting of a destination",
        "Give the destination a new access token, or mend the setting that the reason names. "
        "Nothing is lost: what is held goes on by itself once TikTok accepts it.",
    ),
    Rule(
        "lane_open",
        _C,
        delivering.lane_open,
        _NONE,
        "five requests of a destination in a row failed: TikTok or the way to it is away",
        "Look at TikTok's status and at the way from here to it (DNS, proxy, firewall). Nothing "
        "is lost: events wait, and go on by themselves.",
    ),
    Rule(
        "delivery_failing",
        _C,
        delivering.delivery_failing,
        _SOME,
        "in the last minute two requests of a destination failed, or TikTok refused five, and "
        "none was accepted; or five failed, and no fewer than were accepted",
        "The log (delivery.failed) has TikTok's answers. Refused events are kept: mend what the "
        "answers name, then send them again with replay.",
        _STOPS | {"throttled"},
    ),
    Rule(
        "throttled",
        _W,
        delivering.throttled,
        _LONG,
        "TikTok says for half a minute that too much is sent",
        "Usually nothing: the lane slows down and catches up. If it lasts, look for another "
        "sender with the same TikTok application, or ask TikTok for a higher limit.",
    ),
    Rule(
        "worker_stuck",
        _C,
        delivering.worker_stuck,
        _SHORT,
        "the worker of a destination has not looked for work for 30 seconds",
        "Restart the service: nothing is lost by that. Please report it with the log of the "
        "minutes before.",
    ),
    Rule(
        "backlog_age",
        _C,
        delivering.backlog_age,
        _NONE,
        "an event waits for longer than `alerts.backlog_age` (10 minutes)",
        "If one event is old and others arrive, TikTok does not answer to that one: see its "
        "attempts. If all are, raise max_requests_in_flight, or send less.",
        _STANDS,
    ),
    Rule(
        "dead_letters",
        _C,
        delivering.dead_letters,
        _NONE,
        "at least five events of a destination, and one in a hundred, were given up in the last "
        "hour, or one because it may have arrived; some of them in the last five minutes",
        "See conversion-relay dead-letters for the reasons. Mend the mapping or the settings, "
        "then send them again with replay.",
    ),
    Rule(
        "events_held",
        _W,
        delivering.events_held,
        timedelta(minutes=2),
        "events stay held for two minutes although their lane flows",
        "Send them again with replay --state held: that makes them anew with today's settings.",
        _STANDS,
    ),
    Rule(
        "rejections_rising",
        _C,
        arriving.rejections_rising,
        _NONE,
        "a mapping rejects a larger share of its events than usual: six at least, ten percentage "
        "points and five standard deviations more than in the hours before (in the last minute, "
        "or the last five)",
        "Compare the mapping with what the source sends now: a field was renamed or left out, or "
        "the mapping was changed. Events are kept: mend it, then send them again with replay.",
    ),
    Rule(
        "unmatched_rising",
        _W,
        arriving.unmatched_rising,
        _NONE,
        "a larger share of a source's events than usual matches no trigger (as above), and fewer "
        "than half as many as usual match one",
        "Compare the triggers with the events' names: one was renamed, or a trigger was changed. "
        "Events are kept: mend it, then send them again with replay.",
    ),
    Rule(
        "quarantine_rising",
        _W,
        arriving.quarantine_rising,
        _NONE,
        "a larger share than usual of what a source sends is no event (as above)",
        "See the quarantined events for the reasons, and mend whatever sends them.",
    ),
    Rule(
        "signature_failures",
        _C,
        arriving.signature_failures,
        _NONE,
        "five requests of a source in a minute carry no credential or a wrong one; or three in "
        "an hour, and none a good one",
        "If it is Segment, its events are being lost: set the same shared secret and bearer token "
        "there and here. Otherwise somebody else posts.",
    ),
    Rule(
        "half_signed",
        _C,
        arriving.half_signed,
        _NONE,
        "Segment sent a batch without the bearer token within five minutes",
        'Add the header "Authorization: Bearer …" in the mapping of Segment\'s webhook '
        "destination, or switch batching off there. Within 4 hours nothing is lost.",
    ),
    Rule(
        "requests_refused",
        _C,
        arriving.requests_refused,
        _NONE,
        "five requests of a source in a minute are refused for what they are: too large, no JSON",
        "The log (webhook.refused, tracking.refused) says how each is mended. Segment does not "
        "send them again.",
    ),
    Rule(
        "overloaded",
        _W,
        arriving.overloaded,
        _LONG,
        "ten requests in a minute find no room, or exceed the source's rate_limit, for half a "
        "minute",
        "Raise the limit that the log names, or give the service a faster disk or machine. "
        "Segment tries again for 4 hours; then events are lost.",
        frozenset({"store_failing", "store_slow"}),
    ),
    Rule(
        "unknown_sources",
        _W,
        arriving.unknown_sources,
        _NONE,
        "ten requests in five minutes name a source, or carry a write key, that is not configured",
        "Correct the address or the write key where it is sent from, or configure the source. "
        "What is refused is lost.",
    ),
    Rule(
        "silence",
        _C,
        arriving.silence,
        _NONE,
        "a source that used to send is quiet for [longer than is usual](#silence)",
        "Look where the events come from: is the webhook switched off in Segment, the address "
        "changed, a certificate out of date, the site down?",
        _DOOR,
    ),
    Rule(
        "canary_failed",
        _C,
        delivering.canary_failed,
        _NONE,
        "a test event did not come through in time",
        "The reason says how far it came. Real events probably stop at the same place.",
        _STANDS | {"store_unreadable", "store_slow"},
    ),
    Rule(
        "store_failing",
        _C,
        keeping.store_failing,
        _NONE,
        "nothing can be written to the database",
        "Make room on the disk, or mend what the reason names. New events are answered 503; "
        "Segment tries again for 4 hours.",
    ),
    Rule(
        "store_unreadable",
        _W,
        keeping.store_unreadable,
        _SOME,
        "the database does not say for 15 seconds how things stand",
        "Look at the disk and at what else uses it. The alerts that depend on it do not open "
        "meanwhile.",
        frozenset({"store_failing"}),
    ),
    Rule(
        "store_slow",
        _W,
        keeping.store_slow,
        _SOME,
        "transactions take half a second on average for a minute, or all its time, or 5,000 "
        "events wait for the disk",
        "Look at the disk and at what else uses it; a network disk is too slow.",
        frozenset({"store_failing"}),
    ),
    Rule(
        "disk_nearly_full",
        _C,
        keeping.disk_nearly_full,
        _NONE,
        "the disk of the database is fuller than `alerts.disk_used` (90 %)",
        "Make room, or enlarge it. Once it is full, new events are answered 503; what was "
        "accepted is still delivered.",
    ),
    Rule(
        "configuration_refused",
        _W,
        keeping.configuration_refused,
        _NONE,
        "a changed configuration does not take effect",
        "Mend what the reason names; conversion-relay check says all of it. The running "
        "configuration stays in effect.",
    ),
    *NODE_RULES,
)
"""The stronger before those that yield to them."""
OWN_RULES: Final[Sequence[Rule]] = (NODE_CUT_OFF,)
"""What every node judges of itself, whoever judges for all."""
OWN_NAMES: Final = frozenset(rule.name for rule in OWN_RULES)


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that met a fault of its own."""

    rule: str
    error: Exception


MONITOR_BROKEN: Final = Rule(
    "monitor_broken",
    _W,
    lambda _: iter(()),
    _NONE,
    "a rule of this table meets a fault of its own; the others go on",
    "Please report it with the line monitor.rule_failed of the log.",
)


def findings(
    view: View, rules: Iterable[Rule] = RULES
) -> tuple[tuple[tuple[Rule, Finding], ...], tuple[Broken, ...]]:
    """What the rules find now; a rule that breaks does not stop the others."""
    found: list[tuple[Rule, Finding]] = []
    broken: list[Broken] = []
    for rule in rules:
        try:
            found += [(rule, rule.finding(one)) for one in rule.find(view)]
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, the others go on
            broken.append(Broken(rule.name, error))
    if broken:
        found.append((MONITOR_BROKEN, MONITOR_BROKEN.finding(_admitted(broken))))
    return tuple(found), tuple(broken)


def _admitted(broken: Sequence[Broken]) -> Found:
    names = ", ".join(one.rule for one in broken)
    return Found(SERVICE, f"These rules are broken and watch nothing: {names}.")
