"""When Python looks for garbage: not while a process starts, and never in what its start made.

What is imported and loaded at the start stays until the process ends. To search it for garbage
while it is made, and once more at the end, takes a third of the time of a short command; a full
collection that walks it later holds up the calls of that moment for 60 ms.
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


def exclude_current_objects() -> None:
    """Collects once, and never again among the objects that remain."""
    gc.collect()
    gc.freeze()
