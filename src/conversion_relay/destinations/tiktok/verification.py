"""Whether TikTok accepts credentials and settings, asked by a request that counts nowhere.

With a test event code that is a whole test event. Without one it is an event without its required
`event` and `user`: TikTok refuses the credentials first (40001, 40104, 40105, …), and with good
ones the event (40002), so nothing of it is ever counted.
Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, assert_never

import orjson

from conversion_relay.core.delivery import (
    Accepted,
    Companion,
    CredentialProblem,
    Deferred,
    Refused,
    Suspect,
    Throttled,
    Unknown,
    WireResponse,
)
from conversion_relay.core.destination import Probe, Verdict
from conversion_relay.core.values import JsonObject
from conversion_relay.destinations.tiktok.answers import outcomes_of, told_of
from conversion_relay.destinations.tiktok.fields import WEB

INVALID_EVENT: Final = 40002
_WHOLE: Final = "a test event, which TikTok shows under Test Events and does not count"
_INCOMPLETE: Final = (
    "an event that is incomplete on purpose and counts nowhere: it shows whether the access token "
    "is good, not whether an event would be counted (canary_test_event_code has a whole test "
    "event sent)"
)
_SETTING: Final = re.compile(
    r"\b(event_source_id|event_source|test_event_code|partner_name)\b", re.IGNORECASE
)
"""What of a request is configured: named by a refusal, it is not the event that is wrong."""
_URL: Final = "https://example.com/conversion-relay"
_NOBODY: Final = "0" * 64
"""As an external id: what no hash of a real id is."""


def probe_of(
    pixel_code: str, test_event_code: str | None, partner_name: str | None, now: datetime
) -> Probe:
    """The request that shows whether token and settings are good."""
    envelope: JsonObject = {"event_source": WEB, "event_source_id": pixel_code}
    if partner_name is not None:
        envelope["partner_name"] = partner_name
    element: JsonObject = {"event_time": int(now.timestamp())}
    if test_event_code is None:
        return Probe(orjson.dumps(envelope).decode(), orjson.dumps(element), _INCOMPLETE)
    envelope["test_event_code"] = test_event_code
    element |= {
        "event": "ViewContent",
        "event_id": f"conversion-relay-verify-{int(now.timestamp() * 1000)}",
        "user": {"external_id": _NOBODY},
        "page": {"url": _URL},
        "properties": {},
    }
    return Probe(orjson.dumps(envelope).decode(), orjson.dumps(element), _WHOLE)


def verdict_of(probe: Probe, reply: WireResponse) -> tuple[Verdict, str]:
    """What the answer shows, and a sentence for people."""
    (outcome,) = outcomes_of(1, reply)
    match outcome:
        case Accepted():
            return Verdict.SOUND, f"TikTok accepted {probe.says}"
        case CredentialProblem():
            who = "something on the way to TikTok" if outcome.on_the_way else "TikTok"
            return (
                Verdict.REFUSED,
                f"{who} refuses the access token or a setting: {outcome.reason}",
            )
        case Refused() | Suspect() | Companion():
            if _was_expected(probe, reply, outcome.reason):
                return Verdict.SOUND, f"TikTok accepted the access token, and refused {probe.says}"
            return Verdict.REFUSED, f"TikTok refuses {probe.says}: {outcome.reason}"
        case Throttled() | Deferred() | Unknown():
            return Verdict.SILENT, f"nothing was learnt: {outcome.reason}; sent was {probe.says}"
        case _:
            assert_never(outcome)


def _was_expected(probe: Probe, reply: WireResponse, reason: str) -> bool:
    """Whether it is the event that was refused, as one without a name and a user must be."""
    is_whole = probe.says == _WHOLE
    return (
        not is_whole and told_of(reply).code == INVALID_EVENT and _SETTING.search(reason) is None
    )
