"""What a page's module imports. A browser learns of an import when it has read the module that says
so; asked for at once, they come together instead of one after the other."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from posixpath import dirname, join, normpath

from django.contrib.staticfiles import finders

_IMPORT = re.compile(r'^import (?:[^;"]* from )?"(\.[^"]+)";', re.MULTILINE)


@cache
def imported(name: str) -> tuple[str, ...]:
    """Static files, by name, that the module `name` and those that it imports import."""
    found: dict[str, None] = {}
    waiting = [name]
    while waiting:
        one = waiting.pop()
        path = finders.find(one)
        if path is None:
            raise ValueError(f"there is no static file {one}")
        for other in _IMPORT.findall(Path(path).read_text()):
            other_name = normpath(join(dirname(one), other))
            if other_name not in found:
                found[other_name] = None
                waiting.append(other_name)
    return tuple(found)
