"""How a proxy process takes the spool folder: under its lock, and in the name of its ledger."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time

from django.conf import settings
from django.db import DatabaseError, connection

from access.redaction import redact_url
from capture.ledger.identity import Identity, identify
from capture.models import Ledger
from capture.proxy.child_processes import GRACE_S
from capture.spool import ownership
from capture.spool.folder import Folder, SpoolError

logger = logging.getLogger("agentledger.proxy")

# A process that was just told to end may not have said so yet.
ALIVE_WAIT_S = 5.0
# A start waits this long for the database to say which ledger it is.
IDENTITY_WAIT_S = 2.0
STOPPING = "stopping"


def lock(folder: Folder) -> int:
    """Returns the descriptor of the folder's lock, which names this process. Raises SpoolError if
    another process holds it, and does not end in time."""
    descriptor = folder.lock("proxy")
    if descriptor is None:
        descriptor = _wait_for_lock(folder)
    _write(descriptor, str(os.getpid()))
    return descriptor


def mark_stopping(descriptor: int) -> None:
    """Lets a process that waits for the lock know that it will be free soon."""
    _write(descriptor, f"{os.getpid()} {STOPPING}")


def claim(folder: Folder) -> None:
    """Must be called before this process spools calls. Those that another ledger has left are left
    alone; if the database is unavailable, the recorder will find them."""
    folder.forget_recorded()
    ledger = _identity()
    with contextlib.suppress(OSError):  # the disk is full: the recorder tries again
        if ledger is None:
            ownership.disown_if_empty(folder)
        else:
            url = redact_url(settings.AGENTLEDGER.database_url)
            ownership.claim(folder, ledger.id, url, is_unused=ledger.is_unused)


def _wait_for_lock(folder: Folder) -> int:
    began = time.monotonic()
    is_stopping = False
    while True:
        pid, _, state = _holder(folder).partition(" ")
        if state == STOPPING and not is_stopping:
            is_stopping = True
            logger.warning(
                "waiting until process %s, which is stopping, has left the spool folder %s",
                pid,
                folder.path,
            )
        # A proxy that is being restarted may still be ending its calls.
        patience_s = settings.AGENTLEDGER.shutdown_s + GRACE_S + 1 if is_stopping else ALIVE_WAIT_S
        if time.monotonic() - began > patience_s:
            break
        descriptor = folder.lock("proxy", wait_s=0.2)
        if descriptor is not None:
            return descriptor
    owner = ownership.owner(folder)
    database = f", with the database {owner.database}" if owner else ""
    raise SpoolError(
        f"another proxy process (pid {pid}{database}) uses the spool folder {folder.path}: one"
        " process at a time; set AGENTLEDGER_SPOOL_DIR to give this one a folder of its own"
    )


def _holder(folder: Folder) -> str:
    try:
        return (folder.path / "proxy.lock").read_text().strip()
    except OSError:
        return ""


def _write(descriptor: int, text: str) -> None:
    with contextlib.suppress(OSError):  # the disk is full: the lock is held all the same
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{text}\n".encode(), 0)


def _identity() -> Identity | None:
    """Asks in a thread, since this one has an event loop; None: the database is unavailable."""
    found: list[Identity] = []

    def ask() -> None:
        with contextlib.suppress(DatabaseError, Ledger.DoesNotExist):
            found.append(identify())
        connection.close()

    thread = threading.Thread(target=ask, name="ledger-identity", daemon=True)
    thread.start()
    thread.join(IDENTITY_WAIT_S)
    return found[0] if found else None
