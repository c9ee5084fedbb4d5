"""The Tracking API as routes, built from the settings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from starlette.routing import Route

from conversion_relay.service.http.intake import Intake
from conversion_relay.service.http.tracking.endpoint import PATH, Tracking
from conversion_relay.service.http.tracking.events import TrackingLimits
from conversion_relay.service.http.tracking.visitor import Visitors
from conversion_relay.service.settings import ServiceSettings

_MOST_GROWTH: Final = 16
"""Times the largest batch, with what is shared: 3 KB for each of 2,500 events, Segment's most."""


def tracking_routes(
    intake: Intake, settings: ServiceSettings, new_id: Callable[[], str]
) -> Sequence[Route]:
    """The paths, with and without a slash at the end: a redirect would cost the event."""
    tracking = Tracking(
        intake,
        TrackingLimits(
            settings.max_tracking_body_bytes,
            settings.max_tracking_event_bytes,
            settings.max_event_bytes,
            _MOST_GROWTH * settings.max_tracking_body_bytes,
            settings.max_batch_events,
            settings.max_nesting,
        ),
        Visitors.behind(settings.trusted_proxies),
        new_id,
    )
    return [Route(path, tracking, methods=["POST"]) for path in (PATH, f"{PATH}/")]
