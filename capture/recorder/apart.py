"""Runs what may take too much memory or time in a process apart, a copy of this one, which may die
instead of it."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import resource
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from django.conf import settings
from django.db import Error, connection

from access.redaction import redact_error
from capture.ledger.identity import LedgerReplaced
from capture.recorder.unavailable_database import DATABASE_ERRORS
from capture.wire.limits import MB, MEMORY, MEMORY_PER_BYTE

logger = logging.getLogger("agentledger.recorder")

# The least that is left to it, however much it has as a copy of this one.
LEAST_MEMORY = 256 * MB
CPU_S = 30.0
CPU_S_PER_MB = 1.0
MAX_REASON = 500  # characters

Kind = Literal["done", "failed", "memory", "database", "replaced", "disk", "died"]


class Ending(NamedTuple):
    """How the work ended; `failed` is an exception that the same bytes raise again."""

    kind: Kind
    reason: str = ""


def run_apart(work: Callable[[], None]) -> Ending:
    """Returns when `work` has ended in a process of its own. It has a database connection of its
    own. Raises OSError if there can be no other process now."""
    connection.close()  # SQLite's must not be carried over to another process
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        _work_and_exit(work, writable)
    os.close(writable)
    with open(readable, "rb") as pipe:
        kind, _, reason = pipe.read().decode(errors="replace").partition(" ")
    _, status = os.waitpid(child, 0)
    if kind:
        return Ending(kind, reason)  # type: ignore[arg-type]  # the child wrote a Kind
    return Ending("died", _why(os.waitstatus_to_exitcode(status)))


def is_memory_error(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # libpq has no other sign of it.
    return isinstance(error, MemoryError) or (isinstance(error, Error) and "memory" in str(error))


def limit_this_process(size: int) -> None:
    """Bounds what the process may take from now on, for a call of `size` bytes."""
    had = _data_of_this_process()
    memory = max(MEMORY, had + LEAST_MEMORY) + MEMORY_PER_BYTE * size
    _limit(resource.RLIMIT_DATA, memory)
    cpu_s = time.process_time() + CPU_S + CPU_S_PER_MB * size / MB
    _limit(resource.RLIMIT_CPU, math.ceil(cpu_s))


def _work_and_exit(work: Callable[[], None], writable: int) -> None:
    """Never returns: nothing of the recorder's own end may run twice."""
    with contextlib.suppress(OSError):  # if the system must kill one process, then this one
        Path("/proc/self/oom_score_adj").write_text("1000")
    ending = Ending("failed")
    try:
        work()
        ending = Ending("done")
    except BaseException as error:  # whatever it is, the process that waits is to know
        ending = _ending_of(error)
    finally:
        with contextlib.suppress(BaseException):  # the pipe's other end is all that is left
            os.write(writable, " ".join(ending).encode(errors="replace"))
        os._exit(0)


def _ending_of(error: BaseException) -> Ending:
    reason = redact_error(error, settings.AGENTLEDGER.dsn)
    if is_memory_error(error):
        return Ending("memory", "it needs more memory than a call may take")
    if isinstance(error, LedgerReplaced):
        return Ending("replaced", reason)
    if isinstance(error, DATABASE_ERRORS):
        return Ending("database", reason)
    if isinstance(error, OSError):
        return Ending("disk", reason)
    logger.error("a call cannot be understood", exc_info=error)
    return Ending("failed", describe(error))


def describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:MAX_REASON]


def _why(code: int) -> str:
    if code == -signal.SIGXCPU:
        return "it needs more processor time than a call may take"
    if code == -signal.SIGKILL:
        return "its process was killed, as the system does when memory is short"
    return f"its process ended with code {code}"


def _limit(what: int, value: int) -> None:
    _, most = resource.getrlimit(what)
    if most != resource.RLIM_INFINITY:
        value = min(value, most)
    with contextlib.suppress(ValueError, OSError):  # another system: it runs without this limit
        resource.setrlimit(what, (value, most))


def _data_of_this_process() -> int:
    """Returns bytes; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    except OSError:
        return 0
