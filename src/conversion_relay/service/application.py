"""The HTTP application over an open store: the ways in, the operator's paths, their bounds.

Put together from the settings; the store and the destinations are what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from fastapi import FastAPI
from starlette.routing import Route as HttpRoute

from conversion_relay import __version__
from conversion_relay.core.decoding import Decoded, Unusable
from conversion_relay.core.match_keys import Memory
from conversion_relay.core.plan import Target
from conversion_relay.service.http.admin.access import AdminTokens
from conversion_relay.service.http.admin.backfill import PATH as BACKFILL
from conversion_relay.service.http.admin.backfill import Backfill, backfill_router
from conversion_relay.service.http.admin.configuration import configuration_router
from conversion_relay.service.http.admin.configured import InEffect, configured_router
from conversion_relay.service.http.admin.events import admin_router
from conversion_relay.service.http.admin.flow import flow_router
from conversion_relay.service.http.admin.forget import forget_router
from conversion_relay.service.http.admin.guard import AdminGuard
from conversion_relay.service.http.admin.lanes import lanes_router
from conversion_relay.service.http.admin.match_keys import match_keys_router
from conversion_relay.service.http.admin.nodes import nodes_router
from conversion_relay.service.http.admin.operations import operations_router
from conversion_relay.service.http.admin.report import Reports, report_router
from conversion_relay.service.http.admin.standing import standing_router
from conversion_relay.service.http.admin.status import status_router
from conversion_relay.service.http.closed import closed
from conversion_relay.service.http.description import DescribedApplication
from conversion_relay.service.http.edge.body import BodyLimits
from conversion_relay.service.http.erasure import Erasure
from conversion_relay.service.http.ingest import Webhook
from conversion_relay.service.http.intake import IngestLimits, Intake
from conversion_relay.service.http.problems import answer_with_problems
from conversion_relay.service.http.shortcut import Shortcut
from conversion_relay.service.http.tracking.cors import Cors, CrossOrigin
from conversion_relay.service.http.tracking.endpoint import PREFIX
from conversion_relay.service.http.tracking.routes import tracking_routes
from conversion_relay.service.relay import Relay
from conversion_relay.service.replay import Replay
from conversion_relay.service.settings import Configuration, ServiceSettings
from conversion_relay.service.store.cluster import Role
from conversion_relay.service.store.port import NewEvent


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
    if relay.role is Role.DELIVER:
        ways_in = [*closed(ways_in, intake)]
    relay.http.router.routes[:0] = ways_in
    relay.http.include_router(operations_router(intake.metrics, relay.readiness))
    relay.http.include_router(admin_router(relay.store, _replay(intake), intake.log))
    relay.http.include_router(lanes_router(relay.workers))
    relay.http.include_router(forget_router(erasure))
    relay.http.include_router(backfill_router(Backfill(intake)))
    relay.http.include_router(match_keys_router(relay.store, _match_keys(relay), intake.clock))
    relay.http.include_router(report_router(_reports(relay, intake)))
    _add_figures(relay, intake)
    tokens = AdminTokens(intake.monotonic)
    renew_admin(tokens, settings)
    relay.adopting.append(lambda configuration, _: renew_admin(tokens, configuration.service))
    relay.http.add_middleware(
        AdminGuard,
        tokens=tokens,
        receive_seconds=settings.receive_seconds,
        own_limits=(BACKFILL,),
    )
    relay.http.add_middleware(Shortcut, routes=ways_in)


def renew_admin(tokens: AdminTokens, settings: ServiceSettings) -> None:
    """Lets the admin tokens of these settings in, and no others."""
    operate = settings.admin_token
    tokens.renew(
        [token.get_secret_value() for token in settings.read_tokens],
        None if operate is None else operate.get_secret_value(),
    )


def _add_figures(relay: Relay, intake: Intake) -> None:
    """What a page shows: how things stand, how they went, what is configured."""
    history = relay.store.history
    relay.http.include_router(status_router(relay.store))
    relay.http.include_router(nodes_router(relay.store.cluster))
    relay.http.include_router(flow_router(history, intake.clock))
    relay.http.include_router(standing_router(history, lambda: [*relay.workers], intake.clock))
    canaries = lambda: relay.canaries()  # noqa: E731, PLW0108 - whoever runs them says it later
    in_effect = InEffect(lambda: relay.configuration, canaries)
    relay.http.include_router(configured_router(in_effect))
    relay.http.include_router(configuration_router(lambda: relay.reloader, history))


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

    def replan(
        source: str, element: Decoded | Unusable, now: datetime, memory: Memory | None
    ) -> NewEvent:
        return intake.planner.plan_received(source, element, now, memory)

    return Replay(intake.store, replan, intake.clock, intake.arrived, intake.log, intake.recall)


def _reports(relay: Relay, intake: Intake) -> Reports:
    """Meanings and retention are those of the configuration in effect when it is asked."""

    def meaning(destination: str, code: int) -> str | None:
        worker = relay.workers.get(destination)
        return None if worker is None else worker.dispatch.destination.meaning(code)

    def retention() -> timedelta:
        return relay.configuration.service.retentions.events

    told = intake.metrics.event_name
    store = relay.store
    return Reports(store.history, meaning, told, intake.clock, retention, store.trouble)


def _match_keys(relay: Relay) -> dict[str, tuple[str, ...]]:
    """By what each destination recognises people; stays true when the configuration changes."""
    known: dict[str, tuple[str, ...]] = {}

    def know(_: Configuration, targets: Sequence[Target]) -> None:
        known.clear()
        known.update((target.name, target.destination.match_keys) for target in targets)

    know(relay.configuration, relay.targets)
    relay.adopting.append(know)
    return known
