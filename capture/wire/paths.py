"""The path of a request as the most lenient server could read it.

Servers differ in what they make of `/v1//chat/completions`, `/V1/./chat/completions;x=1` or
`/v1/%2563hat/completions`. The proxy forwards such a path as it came, and treats it as what it may
mean to some server.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar
from urllib.parse import unquote

# A cache of longer paths would be a way to fill the memory.
MAX_CACHED = 256
# A proxy before the provider may decode a path once more, but hardly four times.
MAX_DECODINGS = 5

_is_plain = re.compile(r"(?:/[\w~:@+-][\w~:@+.-]*)+", re.ASCII).fullmatch
# What follows is no part of the path to a server that decodes before it splits.
_ends_path = re.compile(r"[?#\0]")
_ignored = re.compile(r"[\x01-\x20\x7f]")

_T = TypeVar("_T")


def cached_by_path(find: Callable[[str], _T]) -> Callable[[str], _T]:
    """Returns `find` with a cache of paths that are not too long for one."""
    find_cached = lru_cache(1024)(find)

    def find_by_path(path: str) -> _T:
        return find_cached(path) if len(path) <= MAX_CACHED else find(path)

    return find_by_path


@cached_by_path
def normal_path(path: str) -> str:
    """Returns a path, which the server has decoded once, without what can be written in more than
    one way: escapes, empty and dot segments, backslashes, parameters, a slash at its end. Its case
    stays."""
    if _is_plain(path):
        return path
    for _ in range(MAX_DECODINGS):
        decoded = unquote(path)
        if decoded == path:
            break
        path = decoded
    path = _ignored.sub("", _ends_path.split(path, 1)[0]).replace("\\", "/")
    segments: list[str] = []
    for segment in path.split("/"):
        name = segment.partition(";")[0]
        if name == "..":
            del segments[-1:]
        elif name not in ("", "."):
            segments.append(name)
    return "/" + "/".join(segments)


def find_by_reading(path: str, find: Callable[[str], _T | None]) -> tuple[str, _T | None]:
    """Returns the first reading of a path for which something is found, and that; otherwise the
    strictest reading. An upstream may read the path that way too."""
    possible = readings(path)
    for reading in possible:
        found = find(reading)
        if found is not None:
            return reading, found
    return possible[0], None


def readings(path: str) -> tuple[str, ...]:
    """Returns what a path may mean, the strictest first, and itself last."""
    normal = normal_path(path)
    return (path,) if normal == path else (normal, path)
