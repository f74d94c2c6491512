"""Globs of models and places, as our own lists of prices have them."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase


def any_matches(globs: Iterable[str], names: Iterable[str]) -> bool:
    """Returns whether one of the names, in whatever case, matches one of the globs."""
    known = [name.lower() for name in names]
    return any(fnmatchcase(name, glob) for name in known for glob in globs)
