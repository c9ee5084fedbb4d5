"""The command `status`: how the flow is, at a glance. Counts, names and reasons only.

Speaks to the admin paths, whoever serves these, and knows nothing of the store.
"""

from __future__ import annotations

from typing import Final, TypeVar

import httpx
from pydantic import BaseModel

from conversion_relay.cli.operators import JsonOption, ask, sent
from conversion_relay.cli.speaking import ConfigOption, say
from conversion_relay.cli.status_words import Seen, escaped_json, told
from conversion_relay.service.http.admin.configured import (
    DESTINATIONS,
    SOURCES,
    DestinationsAnswer,
    SourcesAnswer,
)
from conversion_relay.service.http.admin.flow import FLOW, FlowAnswer
from conversion_relay.service.http.admin.lanes import LANES
from conversion_relay.service.http.admin.nodes import NODES, NodesAnswer
from conversion_relay.service.http.admin.shown import LanesAnswer
from conversion_relay.service.http.admin.standing import (
    ALERTS,
    WAITING,
    AlertsAnswer,
    WaitingAnswer,
)
from conversion_relay.service.http.admin.status import STATUS, StatusAnswer
from conversion_relay.service.operating import answer_of, detail_of

Answer = TypeVar("Answer", bound=BaseModel)
_READY: Final = "/readyz"


def status(as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """Show how the flow is: sources, destinations, what waits, alerts, canaries, nodes."""
    seen = ask(config, _look)
    say(escaped_json(seen) if as_json else told(seen))


async def _look(client: httpx.AsyncClient) -> Seen:
    async def got(path: str, model: type[Answer], **asked: str) -> Answer:
        return answer_of(await sent(client.get(path, params=asked)), model)

    ready = await sent(client.get(_READY))
    return Seen(
        unready=None if ready.is_success else detail_of(ready),
        kept=await got(STATUS, StatusAnswer),
        flow=await got(FLOW, FlowAnswer),
        waiting=await got(WAITING, WaitingAnswer, value="true"),
        alerts=await got(ALERTS, AlertsAnswer),
        lanes=(await got(LANES, LanesAnswer)).root,
        sources=(await got(SOURCES, SourcesAnswer)).sources,
        destinations=(await got(DESTINATIONS, DestinationsAnswer)).destinations,
        nodes=await got(NODES, NodesAnswer),
    )
