"""An open database: its connections, and letting go of them. Knows no thread and no table."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import apsw

from conversion_relay.errors import StoreUnavailable
from conversion_relay.service.store.embedded.connection import unavailable
from conversion_relay.service.store.embedded.ownership import Ownership
from conversion_relay.service.store.embedded.standing import Standing
from conversion_relay.service.store.sqlite.standby import Standby


@dataclass(frozen=True, slots=True)
class Database:
    """An owned, open database.

    Attributes:
        ownership: held until the end.
        writing: used by the writer's thread alone while that runs.
        reading: the same for the reader's, which closes it.
        looking_back: the same for the reader's of the history.
        standing: where the files were when it was opened.
        standby: takes over while the disk cannot be written.
    """

    ownership: Ownership
    writing: apsw.Connection
    reading: apsw.Connection
    looking_back: apsw.Connection
    standing: Standing
    standby: Standby

    def close(self) -> None:
        """Take the log into the database and let go of it; the readers are gone by now.

        Raises:
            StoreUnavailable: that failed, or the files stand elsewhere; let go of all the same.
        """
        try:
            self._finish()
        except (apsw.Error, StoreUnavailable) as error:
            with suppress(apsw.Error):  # what it says then was said already
                self.writing.close(True)  # noqa: FBT003 (apsw's own signature: close whatever happens)
            self.ownership.abandon()
            raise unavailable(error) from error
        self.ownership.release()

    def _finish(self) -> None:
        try:
            self.standing.require()
        except StoreUnavailable:
            # SQLite would remove the log by its name, and another database's may be there by now.
            self.writing.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            raise
        self.writing.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self.writing.close()
