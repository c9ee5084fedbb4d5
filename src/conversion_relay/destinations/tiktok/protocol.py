"""TikTok's Events API 2.0 on the wire: requests out, answers in.

Knows paths, headers and what an answer means for each event; not what an event is made of, and not
what becomes of an outcome.
Source: business-api.tiktok.com, "Report App, Web, Offline, or CRM Events" (read 2026-11-21).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from conversion_relay.core.delivery import Outcome, WireResponse
from conversion_relay.core.destination import Action, OutgoingRequest, Probe, Told, Verdict
from conversion_relay.destinations.tiktok.answers import outcomes_of, told_of
from conversion_relay.destinations.tiktok.meanings import MEANINGS
from conversion_relay.destinations.tiktok.standard_events import STANDARD_EVENTS
from conversion_relay.destinations.tiktok.user import MATCH_KEYS
from conversion_relay.destinations.tiktok.verification import probe_of, verdict_of
from conversion_relay.destinations.tiktok.web_event import ReportWebEvent, TikTokSettings

PATH: Final = "/open_api/v1.3/event/track/"  # with the trailing slash
MAX_BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class TikTokDestination:
    """TikTok Conversions for one pixel or CRM event set."""

    settings: TikTokSettings
    _action: ReportWebEvent = field(init=False, repr=False)
    _actions: Mapping[str, Action] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        action = ReportWebEvent(self.settings)
        object.__setattr__(self, "_action", action)
        object.__setattr__(self, "_actions", {action.slug: action})

    @property
    def title(self) -> str:
        """Its name for people, and in an event's `integrations`."""
        return "TikTok Conversions"

    @property
    def aliases(self) -> tuple[str, ...]:
        """As Segment's published action is called."""
        return ("Tiktok Conversions",)

    @property
    def actions(self) -> Mapping[str, Action]:
        """By slug; there is one."""
        return self._actions

    @property
    def max_batch(self) -> int:
        """The most events one request may carry."""
        return MAX_BATCH

    @property
    def event_names(self) -> frozenset[str]:
        """TikTok's standard events."""
        return STANDARD_EVENTS

    @property
    def match_keys(self) -> tuple[str, ...]:
        """By what TikTok recognises people, in the order of reports."""
        return tuple(MATCH_KEYS)

    def match_key(self, kind: str, text: str) -> str | None:
        """The form in which an e-mail, phone or external id would be sent."""
        return self._action.match_key(kind, text)

    def request(self, envelope: str, bodies: Sequence[bytes], credential: str) -> OutgoingRequest:
        """One request with all the bodies, joined as bytes, in their order."""
        headers = {"Access-Token": credential, "Content-Type": "application/json"}
        top = envelope.removesuffix("}").encode()
        content = b"".join((top, b',"data":[', b",".join(bodies), b"]}"))
        return OutgoingRequest("POST", PATH, headers, content)

    def outcomes(self, size: int, reply: WireResponse) -> tuple[Outcome, ...]:
        """What the reply means for each of the `size` events of the request, in their order."""
        return outcomes_of(size, reply)

    def told(self, reply: WireResponse) -> Told:
        """Code and request id."""
        return told_of(reply)

    def meaning(self, code: int) -> str | None:
        """What this code says, in a few words."""
        return MEANINGS.get(code)

    def probe(self, test_event_code: str | None, now: datetime) -> Probe:
        """A test event, or an event that is incomplete on purpose."""
        settings = self.settings
        return probe_of(settings.pixel_code, test_event_code, settings.partner_name, now)

    def verdict(self, probe: Probe, reply: WireResponse) -> tuple[Verdict, str]:
        """What the answer to the probe shows."""
        return verdict_of(probe, reply)
