"""Names of exported files, which agents choose in part, and files that are whole or not there."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

MAX_NAME = 100

_unsafe = re.compile(r"[^A-Za-z0-9._-]+")
# What no file name has on some system, and what reverses the direction of a text.
_never = re.compile('[\x00-\x1f\x7f-\x9f/\\\\:*?"<>|\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]')


def safe_name(text: str) -> str:
    """Returns a part of a file name for any text: ASCII, without a dot or a dash at its ends."""
    return _unsafe.sub("-", text)[:MAX_NAME].strip(".-") or "session"


def content_disposition(text: str, suffix: str) -> str:
    """Returns the header of RFC 6266 for a download that is named after a text."""
    plain = f"{safe_name(text)}{suffix}"
    whole = f"{_never.sub('_', text)[:MAX_NAME].strip('. ') or 'session'}{suffix}"
    header = f'attachment; filename="{plain}"'
    if whole == plain:
        return header
    return f"{header}; filename*=UTF-8''{quote(whole.encode(errors='replace'), safe='')}"


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Writes beside the file, which takes its place when all of it is on disk."""
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:50]}-", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:  # an interrupt too leaves nothing behind
        with suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
