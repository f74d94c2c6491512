"""The imports of a page's JavaScript module, for preloading.

A browser finds an import only after it has loaded the importing module. Preloaded, all modules load
at the same time instead of one after another.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from posixpath import dirname, join, normpath

from django.contrib.staticfiles import finders

_IMPORT = re.compile(r'^import (?:[^;"]* from )?"(\.[^"]+)";', re.MULTILINE)


@cache
def find_imports(name: str) -> tuple[str, ...]:
    """Returns the names of the static files that the module `name` imports, directly or not."""
    found: dict[str, None] = {}
    waiting = [name]
    while waiting:
        importer = waiting.pop()
        path = finders.find(importer)
        if path is None:
            raise ValueError(f"there is no static file {importer}")
        for target in _IMPORT.findall(Path(path).read_text()):
            imported = normpath(join(dirname(importer), target))
            if imported not in found:
                found[imported] = None
                waiting.append(imported)
    return tuple(found)
