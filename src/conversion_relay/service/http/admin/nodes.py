"""The admin path of the nodes over this database. Knows them by the port `Cluster`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter
from pydantic import AwareDatetime, BaseModel, Field

from conversion_relay.service.http.admin.shown import Shown
from conversion_relay.service.store.cluster import Cluster, NodeRecord, Role

NODES: Final = "/api/nodes"
_MILLISECOND: Final = timedelta(milliseconds=1)


class NodeShown(Shown):
    """A node, as it said of itself with its last sign of life."""

    node: Annotated[str, Field(description="its name")]
    is_here: Annotated[bool, Field(description="it gave a sign of life lately")]
    role: Annotated[Role, Field(description="all, ingest or deliver")]
    release: Annotated[str, Field(description="of conversion-relay")]
    address: Annotated[str, Field(description="at which it listens")]
    started_at: AwareDatetime
    silent_seconds: Annotated[float, Field(description="since its last sign of life")]
    clock_ahead_seconds: Annotated[
        float, Field(description="by so much its clock is ahead of the database's")
    ]
    duties: Annotated[list[str], Field(description="what it does for all nodes at present")]
    configuration: Annotated[
        str | None, Field(description="the fingerprint of what it runs; null: not known")
    ]


class NodesAnswer(BaseModel):
    """The nodes that are here, and those that were lost within a day."""

    node: Annotated[str | None, Field(description="who answers; null: there are no nodes")]
    nodes: Annotated[
        list[NodeShown], Field(description="by name; none where one process owns the database")
    ]


def nodes_router(cluster: Cluster | None) -> APIRouter:
    """The path.

    Args:
        cluster: the nodes; None: one process owns the database.
    """
    router = APIRouter()

    @router.get(NODES, summary="The nodes over this database, and their signs of life")
    async def nodes() -> NodesAnswer:
        if cluster is None:
            return NodesAnswer(node=None, nodes=[])
        found = await cluster.nodes()
        return NodesAnswer(node=cluster.node, nodes=[_shown(one) for one in found])

    return router


def _shown(record: NodeRecord) -> NodeShown:
    standing = record.standing
    return NodeShown(
        node=record.node,
        is_here=record.is_here,
        role=standing.role,
        release=standing.release,
        address=standing.address,
        started_at=standing.started_at,
        silent_seconds=_seconds(record.silent_for),
        clock_ahead_seconds=_seconds(record.clock_offset),
        duties=list(record.duties),
        configuration=standing.configuration,
    )


def _seconds(time: timedelta) -> float:
    return round(time / _MILLISECOND) / 1000
