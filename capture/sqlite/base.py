"""Django's engine for SQLite, with connections that notice when their file is not the one that the
path names any more.

A connection goes on in the file that it opened, even after that was deleted: what it writes is then
lost, and what it reads is old. So each statement outside a transaction first compares the open
file with the path. A file that is missing is a database that is unavailable; another file is opened
in its place. What was written in a transaction counts only if `is_current` afterwards.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import nullcontext, suppress
from typing import Any
from urllib.parse import quote
from weakref import WeakSet

from django.db.backends.sqlite3 import base, features
from django.db.utils import OperationalError

from capture.sqlite.files import Files, leaving

logger = logging.getLogger("agentledger.database")

NOTHING = Files(None, None, None)
_wrappers: WeakSet[DatabaseWrapper] = WeakSet()


class DatabaseFeatures(features.DatabaseFeatures):
    # Django asks a connection, in checks that run before a command can create the file.
    supports_json_field = True


class DatabaseWrapper(base.DatabaseWrapper):
    features_class = DatabaseFeatures

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._path = str(self.settings_dict["NAME"])
        self._files = NOTHING  # that the connection has open
        self._has_warned = False
        _wrappers.add(self)

    def is_current(self) -> bool:
        """Returns whether what this connection wrote is in the files that the path names.

        A log that was deleted is still the one of all connections that are open. They go on with
        it, since one that began another would damage the file; but what is to last must be in the
        file itself.
        """
        found = Files.at(self._path)
        if found.main is None or found.main != self._files.main:
            return False
        if self._files.is_part_of(found):
            return True
        self._warn_of_lost_log()
        with suppress(sqlite3.Error):
            return self._complete_file()
        return False

    def get_connection_params(self) -> dict[str, Any]:
        # "rw": without it, SQLite would create the file.
        return super().get_connection_params() | {"database": f"file:{quote(self._path)}?mode=rw"}

    def get_new_connection(self, conn_params: Any) -> Any:
        if not os.path.exists(self._path):
            raise self._missing()
        before = Files.at(self._path)
        if any(one._files.left_log_to(before) for one in list(_wrappers)):
            raise self._being_replaced()  # whoever has the other one open removes its log
        if any(one._has_lost_log_to(before) for one in list(_wrappers)):
            raise OperationalError(self._lost_log())
        found = super().get_new_connection(conn_params)
        self._files = Files.at(self._path)
        if before.main not in (None, self._files.main):
            found.close()
            raise self._being_replaced()
        return found

    def ensure_connection(self) -> None:
        if self.connection is not None and not self.in_atomic_block:
            self._follow_path()
        super().ensure_connection()

    def close_if_unusable_or_obsolete(self) -> None:
        with suppress(OperationalError):  # the next statement meets it again
            super().close_if_unusable_or_obsolete()

    def _follow_path(self) -> None:
        """Raises OperationalError if the path names no file. The connection is kept, since the same
        file may come back."""
        found = Files.at(self._path)
        if found == self._files:
            return
        if found.main is None:
            raise self._missing()
        if found.main != self._files.main:
            self._leave_replaced_file()
        elif self._files.is_part_of(found):
            self._files = found

    def _leave_replaced_file(self) -> None:
        """Completes the file that was replaced, and leaves it. The new one is opened next."""
        try:
            if not self._complete_file():
                raise self._being_replaced()
        except sqlite3.Error as error:  # it was damaged before: there is nothing to save
            logger.warning("a damaged file was replaced at %s: %s", self._path, error)
        left = self._files
        try:
            with leaving(left, self._path):
                self._close_now()
                for one in list(_wrappers):
                    # Of a thread that waits for its next page: if the file came back, it would go
                    # on with a log that nobody else has. A statement under way is left to end.
                    if one._files.main == left.main and not one.in_atomic_block:
                        one._close_now()
        except OSError as error:
            raise OperationalError(f"{self._path} was replaced: {error}") from error

    def _close_now(self) -> None:
        if self.connection is not None:
            self.connection.close()
        self.connection = None

    def _complete_file(self) -> bool:
        """Copies all commits from the log to the file itself. Returns false if some must wait for
        readers. Raises sqlite3.Error."""
        row = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        is_busy, n_frames, n_copied = row
        return not is_busy and n_frames == n_copied

    def close(self) -> None:
        """Does nothing while the path names no file: if another one comes, this connection is
        needed to leave the first in order."""
        is_missing = Files.at(self._path).main is None
        if self.in_atomic_block or not is_missing:
            super().close()

    def _close(self) -> None:
        with leaving(self._files, self._path) if self._is_replaced() else nullcontext():
            super()._close()  # type: ignore[misc]  # the stubs lack it

    def _is_replaced(self) -> bool:
        return Files.at(self._path).main not in (None, self._files.main)

    def _has_lost_log_to(self, found: Files) -> bool:
        return self.connection is not None and self._files.lost_log_to(found)

    def _warn_of_lost_log(self) -> None:
        if not self._has_warned:
            self._has_warned = True
            logger.error("%s", self._lost_log())

    def _lost_log(self) -> str:
        return f"the log of {self._path} was deleted while it was in use: restart AgentLedger"

    def _being_replaced(self) -> OperationalError:
        return OperationalError(f"the database file {self._path} is being replaced")

    def _missing(self) -> OperationalError:
        return OperationalError(
            f"the database file {self._path} is missing or empty: put it back, or restart"
            " AgentLedger to begin a new one"
        )
