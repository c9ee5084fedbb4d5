"""What is configured, in lines for people: where secrets come from, never a secret.

Reads nothing and checks nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from conversion_relay.service.checks import Examined
from conversion_relay.service.settings import (
    TIKTOK_API_URL,
    AlertSettings,
    Configuration,
    DestinationSettings,
    ServiceSettings,
    SharingSettings,
    SourceSettings,
)
from conversion_relay.service.toml_lines import Place

_LIMIT: Final = "max_"


def overview(
    configuration: Configuration,
    references: Mapping[Place, str],
    examined: Mapping[str, Examined],
) -> Iterator[str]:
    """Lines about the service, each source and each destination.

    Args:
        configuration: as it is.
        references: where each secret comes from.
        examined: what each destination says of its settings.
    """
    secrets = _Secrets(references)
    yield "service"
    yield from _facts(_of_service(configuration.service, secrets))
    yield "alerts"
    yield from _facts(_of_alerts(configuration.alerts, secrets))
    yield "canary"
    yield f"  goes: {_canary(configuration)}"
    for name, source in configuration.sources.items():
        yield f"source {name}"
        routes = configuration.destinations_of(name)
        yield from _facts(_of_source(name, source, routes, secrets))
    for name, destination in configuration.destinations.items():
        yield f"destination {name}"
        count = examined[name].mappings
        yield from _facts(_of_destination(name, destination, count, secrets))


class _Secrets:
    """Says where secrets come from."""

    def __init__(self, references: Mapping[Place, str]) -> None:
        self._references = references

    def one(self, *place: str) -> str:
        return self._references.get(place, "set")

    def several(self, place: Place, word: str) -> str:
        found = [text for key, text in self._references.items() if key[:-1] == place]
        return f"{_counted(len(found), word)} ({', '.join(found)})" if found else f"no {word}"


def _facts(facts: Mapping[str, str]) -> Iterator[str]:
    return (f"  {name}: {fact}" for name, fact in facts.items())


def _of_service(settings: ServiceSettings, secrets: _Secrets) -> Mapping[str, str]:
    limits = {
        name: f"{value:,}"
        for name, value in settings.model_dump().items()
        if name.startswith(_LIMIT)
    }
    token, key = settings.admin_token, settings.encryption_key
    return {
        "address": f"{settings.host}, port {settings.port}",
        **_database(settings, secrets),
        "encryption key": secrets.one("service", "encryption_key")
        if key
        else "in a file beside the database",
        "admin paths": f"with a token ({secrets.one('service', 'admin_token')})"
        if token
        else "closed, because no admin_token is set",
        "read tokens": secrets.several(("service", "read_tokens"), "read token"),
        "changed files": _changes(settings),
        "traces": "sent with OpenTelemetry" if settings.tracing else "not sent",
        "kept": f"finished events {settings.retention}, unmatched {settings.unmatched_retention}, "
        f"dead letters {settings.dead_letter_retention}, messageIds {settings.ledger_retention}",
        **limits,
        "receive_seconds": f"{settings.receive_seconds:g}",
        "trusted proxies": _listed(settings.trusted_proxies, "none"),
        "sites that may post to /v1/…": _listed(settings.cors_origins, "none"),
        "presets folder": str(settings.presets_folder or "the one that came with the service"),
        "log": settings.log_format,
    }


def _database(settings: ServiceSettings, secrets: _Secrets) -> Mapping[str, str]:
    """Where it is; of a server also how it is reached."""
    if settings.database_path is not None:
        return {"database": str(settings.database_path.absolute())}
    password = (
        f"with a password ({secrets.one('service', 'database_password')})"
        if settings.database_password
        else "without a password of ours"
    )
    pooled = ", through a pooler" if settings.database_pooler else ""
    count = _counted(settings.database_connections, "connection")
    return {
        "database": f"{settings.database_url}, {password}",
        "connections to it": f"{count} at most{pooled}",
        "node": settings.node_name or "named after host and process",
    }


def _changes(settings: ServiceSettings) -> str:
    """What becomes of a changed configuration."""
    tried = f"tried with {_counted(settings.trial_events, 'event')}"
    asked = "and with TikTok" if settings.verify_changes else "not with TikTok"
    when = "by themselves" if settings.watch_changes else "when asked to"
    return f"taken over {when}, {tried} {asked}"


def _of_alerts(settings: AlertSettings, secrets: _Secrets) -> Mapping[str, str]:
    server = secrets.one("alerts", "smtp_url") if settings.smtp_url else "no mail server"
    signed = f", signed ({secrets.one('alerts', 'webhook_secret')})"
    quiet = "a quiet source" if settings.silence else "not a quiet source"
    return {
        "Slack": secrets.several(("alerts", "slack_urls"), "address"),
        "webhooks": secrets.several(("alerts", "webhook_urls"), "address")
        + (signed if settings.webhook_secret else ""),
        "e-mail": f"{_listed(settings.email_to, 'nobody')} by {server}"
        if settings.email_to or settings.smtp_url
        else "no address",
        "private addresses": "allowed" if settings.allow_private_addresses else "refused",
        "repeated": f"every {settings.repeat}",
        "also about": f"events that wait {settings.backlog_age}, "
        f"a disk {settings.disk_used:.0%} full, {quiet}",
    }


def _canary(configuration: Configuration) -> str:
    if not configuration.canary.enabled:
        return "not at all"
    names = [
        name
        for name, settings in configuration.destinations.items()
        if settings.own_test_event_code is not None
    ]
    reach = (
        f"to {_listed(names)}"
        if names
        else "and stops before TikTok, for want of a test event code"
    )
    return f"every {configuration.canary.interval}, {reach}"


def _of_source(
    name: str, settings: SourceSettings, routes: Sequence[str], secrets: _Secrets
) -> Mapping[str, str]:
    place = ("sources", name)
    webhook = [
        secrets.several((*place, "signing_secrets"), "secret"),
        secrets.several((*place, "bearer_tokens"), "bearer token"),
    ]
    guarded = settings.signing_secrets or settings.bearer_tokens
    way = ", ".join(webhook) if guarded else "closed, because it has no secret and no token"
    open_to_all = settings.authentication == "none"
    keys = secrets.several((*place, "write_keys"), "write key")
    return {
        f"webhook /webhook/{name}": "open to everybody" if open_to_all else way,
        "library /v1/…": keys if settings.write_keys else "closed, because it has no write key",
        "destinations": _listed(routes, "none: its events are kept, and go nowhere"),
        "rate limit": _counted(settings.rate_limit, "event") + " a second"
        if settings.rate_limit
        else "none",
        "visitor ip": "the connection's, where the event has none"
        if settings.visitor_ip == "connection"
        else "the event's",
        "match keys": f"remembered for {settings.match_keys_retention}"
        if settings.match_keys
        else "not remembered",
    }


def _of_destination(
    name: str, settings: DestinationSettings, mappings: int, secrets: _Secrets
) -> Mapping[str, str]:
    place = ("destinations", name)
    file = settings.mappings or f"{settings.presets}.json"
    proxy = f", by the proxy of {secrets.one(*place, 'proxy_url')}" if settings.proxy_url else ""
    api = "TikTok's" if settings.api_url == TIKTOK_API_URL else settings.api_url
    return {
        "pixel": settings.pixel_code,
        "API": f"{api}{proxy}",
        "access token": secrets.one(*place, "access_token"),
        "test event code": "set: TikTok counts nothing" if settings.test_event_code else "not set",
        "mappings": f"{_counted(mappings, 'mapping')} of {file}",
        "an invalid field": f"{settings.on_invalid_field.value}",
        "consent": _consent(settings),
        "sharing": _sharing(settings.sharing),
        "tried for": f"{settings.retry_horizon}, "
        f"{_counted(settings.max_requests_in_flight, 'request')} at a time",
    }


def _consent(settings: DestinationSettings) -> str:
    if not settings.consent_categories:
        return "not asked for"
    silent = "sent" if settings.consent_when_missing == "send" else "suppressed"
    return f"{_listed(settings.consent_categories)}; an event that says nothing of it is {silent}"


def _sharing(settings: SharingSettings) -> str:
    """Each setting that is not as it would be without being set."""
    untouched = SharingSettings()
    parts = []
    for name, value in settings:
        if value != getattr(untouched, name):
            shown = _listed(value) if isinstance(value, tuple) else str(value).lower()
            parts.append(f"{name} {shown}")
    return "; ".join(parts) or "all that is mapped"


def _counted(count: int, word: str) -> str:
    plural = "es" if word.endswith("s") else "s"
    return f"{count:,} {word}{'' if count == 1 else plural}"


def _listed(items: Sequence[str], nothing: str = "") -> str:
    return ", ".join(items) or nothing
