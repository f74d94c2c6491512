"""Django's engine for SQLite, with connections that notice when their file is not the one that the
path names any more.

A connection goes on in the file that it opened, even after that was deleted: what it writes is then
lost, and what it reads is old. So each statement outside a transaction first compares the open
files with the path. A file that is missing is a database that is unavailable; another file is
opened in its place. What was written in a transaction counts only if `is_current` afterwards.
"""

from __future__ import annotations

import ctypes
import sqlite3
from typing import Any
from urllib.parse import quote
from weakref import WeakSet

from django.db.backends.sqlite3 import base, features
from django.db.utils import OperationalError

from capture.sqlite.files import Files, remove_log_of

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
        _wrappers.add(self)

    def is_current(self) -> bool:
        """Returns whether what this connection wrote is in the files that the path names."""
        return self.connection is not None and Files.at(self._path) == self._files

    def get_connection_params(self) -> dict[str, Any]:
        # "rw": without it, SQLite would create the file.
        return super().get_connection_params() | {"database": f"file:{quote(self._path)}?mode=rw"}

    def get_new_connection(self, conn_params: Any) -> Any:
        before = Files.at(self._path)
        if before.main is None:
            raise self._missing()
        found = super().get_new_connection(conn_params)
        self._files = Files.at(self._path)
        if self._files.main != before.main:
            found.close()
            raise OperationalError(f"the database file {self._path} was replaced as it was opened")
        return found

    def ensure_connection(self) -> None:
        if self.connection is not None and not self.in_atomic_block:
            self._follow_path()
        super().ensure_connection()

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
        else:
            self._leave_lost_log()

    def _leave_replaced_file(self) -> None:
        """Completes the file that was replaced, and leaves it. The new one is opened next."""
        if not self._complete_file():
            raise OperationalError(f"the database file {self._path} is being replaced")
        self.close()
        remove_log_of(self._files, self._path)

    def _leave_lost_log(self) -> None:
        """Saves what was committed to a log that was deleted, and begins another one."""
        self._complete_file()
        left = self._files
        self.close()
        # Connections of one process share the index, which no longer fits the log.
        others = [one for one in list(_wrappers) if one.connection is not None]
        if any(other._files == left for other in others):
            raise OperationalError(
                f"the log of {self._path} was deleted while it was in use: restart AgentLedger"
            )

    def _complete_file(self) -> bool:
        """Copies all commits from the log to the file itself. Returns whether they are there."""
        try:
            row = self.connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error:
            return False
        is_busy, n_frames, n_copied = row
        return not is_busy and n_frames == n_copied

    def _close(self) -> None:
        if Files.at(self._path).main in (None, self._files.main):
            super()._close()  # type: ignore[misc]  # the stubs lack it
        else:
            # SQLite removes the log at the path with the last connection of a file, and the log may
            # be the new file's. So this one stays open, even as the interpreter ends.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(self.connection))

    def _missing(self) -> OperationalError:
        return OperationalError(
            f"the database file {self._path} is missing: put it back, or restart AgentLedger to"
            " begin a new one"
        )
