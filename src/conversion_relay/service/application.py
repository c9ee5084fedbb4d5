"""The HTTP application over an open store: the ways in, the operator's paths, their bounds.

Put together from the settings; the store and the destinations are what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fastapi import FastAPI
from starlette.routing import Route as HttpRoute

from conversion_relay import __version__
from conversion_relay.core.plan import Target
from conversion_relay.service.http.admin.backfill import Backfill, backfill_router
from conversion_relay.service.http.admin.events import admin_router
from conversion_relay.service.http.admin.forget import forget_router
from conversion_relay.service.http.admin.lanes import lanes_router
from conversion_relay.service.http.admin.match_keys import match_keys_router
from conversion_relay.service.http.admin.operations import AdminGuard, operations_router
from conversion_relay.service.http.description import DescribedApplication
from conversion_relay.service.http.edge.body import BodyLimits
from conversion_relay.service.http.erasure import Erasure
from conversion_relay.service.http.ingest import Webhook
from conversion_relay.service.http.intake import IngestLimits, Intake
from conversion_relay.service.http.problems import answer_with_problems
from conversion_relay.service.http.shortcut import Shortcut
from conversion_relay.service.http.sources import Source, Sources
from conversion_relay.service.http.tracking.cors import Cors, CrossOrigin
from conversion_relay.service.http.tracking.endpoint import PREFIX
from conversion_relay.service.http.tracking.routes import tracking_routes
from conversion_relay.service.relay import Relay
from conversion_relay.service.renewal import credentials_of
from conversion_relay.service.replay import Replay
from conversion_relay.service.settings import Configuration, ServiceSettings


def bare_application() -> FastAPI:
    """An application without any path, which answers with problem documents."""
    application = DescribedApplication(
        title="conversion-relay",
        version=__version__,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
    )
    answer_with_problems(application)
    return application


def sources_of(configuration: Configuration, targets: Sequence[Target]) -> Sources:
    """The configured sources, with the destinations each of them feeds."""
    found = []
    for name, settings in configuration.sources.items():
        routes = configuration.destinations_of(name)
        found.append(
            Source(
                name,
                credentials_of(settings),
                tuple(target for target in targets if target.name in routes),
                settings.rate_limit,
                settings.visitor_ip == "connection",
                settings.remembers_for,
            )
        )
    return Sources.of(found)


def limits_of(settings: ServiceSettings) -> IngestLimits:
    """The bounds of one request."""
    return IngestLimits(
        BodyLimits(settings.max_body_bytes, settings.receive_seconds),
        settings.max_event_bytes,
        settings.max_batch_events,
        settings.max_nesting,
    )


def add_paths(
    relay: Relay, intake: Intake, settings: ServiceSettings, new_id: Callable[[], str]
) -> None:
    """Opens every way in.

    Those of events are reached past FastAPI's own layers; they stand among its routes as well, for
    the methods they do not take.
    """
    erasure = Erasure(intake.store, intake.clock, intake.metrics, intake.log)
    ways_in = [*_webhook_routes(intake, erasure), *tracking_routes(intake, settings, new_id)]
    relay.http.router.routes[:0] = ways_in
    relay.http.include_router(operations_router(intake.metrics, relay.unready))
    relay.http.include_router(admin_router(relay.store, _replay(intake), intake.log))
    relay.http.include_router(lanes_router(relay.workers))
    relay.http.include_router(forget_router(erasure))
    relay.http.include_router(backfill_router(Backfill(intake)))
    relay.http.include_router(match_keys_router(relay.store, _match_keys(intake), intake.clock))
    secret = settings.admin_token
    token = None if secret is None else secret.get_secret_value()
    relay.http.add_middleware(AdminGuard, token=token)
    relay.http.add_middleware(Shortcut, routes=ways_in)


def _webhook_routes(intake: Intake, erasure: Erasure) -> Sequence[HttpRoute]:
    """With and without a slash at the end: a redirect would cost the event."""
    webhook, methods = Webhook(intake, erasure), ["POST", "PUT", "PATCH"]
    paths = ("/webhook/{source}", "/webhook/{source}/")
    return [HttpRoute(path, webhook, methods=methods) for path in paths]


def open_to_pages(application: FastAPI, settings: ServiceSettings) -> None:
    """Lets pages of other sites use the Tracking API and read its refusals, the gate's too."""
    cors = Cors.of(settings.cors_origins)
    application.add_middleware(CrossOrigin, cors=cors, prefix=PREFIX)


def _replay(intake: Intake) -> Replay:
    """Plans with the targets and limits of the door."""
    replan = intake.planner.plan_received
    return Replay(intake.store, replan, intake.clock, intake.arrived, intake.log, intake.recall)


def _match_keys(intake: Intake) -> dict[str, tuple[str, ...]]:
    """By what each destination recognises people."""
    targets = (target for source in intake.sources for target in source.targets)
    return {target.name: target.destination.match_keys for target in targets}
