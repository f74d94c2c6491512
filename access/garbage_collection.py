"""Keeps Python's garbage collector away from the objects that a process creates at its start.

What is imported and loaded then stays until the process ends. Searching it for garbage while it is
created, and once more at the end, takes a third of the time of a short command; a later full
collection that walks it holds up calls for 60 ms.
"""

from __future__ import annotations

import gc


def pause() -> None:
    """Stops collecting until `resume`: called where much is about to be loaded."""
    gc.disable()


def resume() -> None:
    """Collects again, except among all objects that exist by now."""
    gc.freeze()
    gc.enable()


def collect_seldom() -> None:
    """Collects only when many more objects exist than a batch of calls has, which is freed without
    the collector: looking through it again and again takes a twentieth of a recorder's time."""
    gc.set_threshold(100_000)


def exclude_current_objects() -> None:
    """Collects once, and never again among the objects that remain."""
    gc.collect()
    gc.freeze()
