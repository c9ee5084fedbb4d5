"""The versions that took effect, as this service keeps them, and again where it could not.

Where nodes share the store, one of them writes each version, and all show its number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from conversion_relay.errors import StoreError
from conversion_relay.service.store.history import History, VersionRecord
from conversion_relay.service.surroundings import Surroundings


@dataclass(slots=True)
class Book:
    """Keeps versions.

    Attributes:
        history: where.
        around: log and metrics.
        is_shared: other nodes write there too.
        kept: the running configuration as it is kept; None where it could not be, or is not yet.
    """

    history: History
    around: Surroundings
    is_shared: bool = False
    kept: VersionRecord | None = None
    _unkept: VersionRecord | None = None

    @property
    def number(self) -> int | None:
        """Of the running configuration."""
        return None if self.kept is None else self.kept.id

    async def newest(self) -> VersionRecord | None:
        """The one kept last.

        Raises:
            StoreError: it cannot be read.
        """
        return next(iter(await self.history.versions(1)), None)

    async def keep(self, record: VersionRecord) -> None:
        """Keep it, at once or as soon as that is possible."""
        self._unkept = record
        try:
            await self.write()
        except StoreError as error:
            self.around.log.error("configuration.not_kept", reason=str(error))
            self.around.metrics.show_configuration(self.number, record.since)

    async def write(self) -> None:
        """Keep what could not be kept before.

        Raises:
            StoreError: it still cannot be.
        """
        if self._unkept is None:
            return
        if await self._is_another_s(self._unkept):
            return
        number = await self.history.keep_version(self._unkept)
        self.show(replace(self._unkept, id=number))

    def begin_anew(self) -> None:
        """Another configuration runs, which is not kept yet."""
        self.kept = self._unkept = None

    def show(self, kept: VersionRecord) -> None:
        """This one runs."""
        self.kept, self._unkept = kept, None
        self.around.metrics.show_configuration(kept.id, kept.since)

    async def _is_another_s(self, record: VersionRecord) -> bool:
        """Whether another node has kept the same meanwhile."""
        newest = await self.newest() if self.is_shared and not record.id else None
        if newest is None or newest.fingerprint != record.fingerprint:
            return False
        self.show(newest)
        return True
