"""The canary's event, what its mapping makes of it, and who may post it."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from conversion_relay.core.decoding import Decoded, decode
from conversion_relay.core.plan import PlannedDelivery
from conversion_relay.service.canary.event import BEARER, event_of
from conversion_relay.service.configuration import load
from conversion_relay.service.http.planning import Planner
from conversion_relay.service.http.signature import Credentials
from conversion_relay.service.settings import Configuration
from conversion_relay.service.store.history import CANARY_SOURCE
from conversion_relay.service.store.port import Disposition, NewEvent
from conversion_relay.service.targets import canary_targets
from conversion_relay.service.who_posts import sources_of
from support.lines import Lines
from support.time import START

TOML = """
[sources.default]
signing_secrets = ["env:SECRET"]
[destinations.eu]
pixel_code = "EU"
access_token = "env:TOKEN"
canary_test_event_code = "CANARY1"
lower_case_external_id = false
sharing.leave_out = ["user.external_id"]
[destinations.eu-2]
pixel_code = "EU2"
access_token = "env:TOKEN"
test_event_code = "TEST2"
[destinations.us]
pixel_code = "US"
access_token = "env:TOKEN"
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    file = tmp_path / "relay.toml"
    file.write_text(TOML)
    return load({"SECRET": "s", "TOKEN": "t"}, file)


def _planned(configuration: Configuration, destination: str) -> NewEvent:
    routes = {CANARY_SOURCE: canary_targets(configuration)}
    planner = Planner(routes, 100_000, lambda: START, Lines())
    element = decode(event_of(destination, "canary-1", START).decode())
    assert isinstance(element, Decoded)
    return planner.plan(CANARY_SOURCE, element)


@pytest.mark.parametrize(
    ("destination", "pixel", "code"), [("eu", "EU", "CANARY1"), ("eu-2", "EU2", "TEST2")]
)
def test_it_goes_to_one_destination_with_its_code(
    configuration: Configuration, destination: str, pixel: str, code: str
) -> None:
    event = _planned(configuration, destination)
    (delivery,) = event.deliveries
    assert isinstance(delivery, PlannedDelivery)
    assert (delivery.destination, delivery.mapping) == (destination, "canary")
    assert (delivery.event_name, delivery.event_id) == ("ViewContent", "canary-1")
    envelope = orjson.loads(delivery.envelope)
    assert envelope == {"event_source": "web", "event_source_id": pixel, "test_event_code": code}
    assert orjson.loads(delivery.body)["user"] == {"external_id": ["0" * 64]}
    assert not event.warnings


def test_it_is_of_nobody(configuration: Configuration) -> None:
    event = _planned(configuration, "eu")
    assert not event.subjects
    assert not event.key_counts  # so that no report of match keys counts it


def test_without_a_code_it_stops_before_tiktok(configuration: Configuration) -> None:
    event = _planned(configuration, "us")
    assert event.disposition is Disposition.UNMATCHED


def test_its_source_is_there_while_it_is_wanted(configuration: Configuration) -> None:
    found = {source.name: source for source in sources_of(configuration, ())}
    assert found.keys() == {"default", CANARY_SOURCE}
    accepted = found[CANARY_SOURCE].credentials
    assert accepted == Credentials(bearer_tokens=(BEARER.encode(),))
    off = configuration.canary.model_copy(update={"enabled": False})
    without = configuration.model_copy(update={"canary": off})
    assert [source.name for source in sources_of(without, ())] == ["default"]
