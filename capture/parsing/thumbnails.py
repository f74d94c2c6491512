"""Thumbnails of the images in calls, for pages that list them.

Images come from anywhere: only a few formats are read, and no large ones. A call is recorded even
if an image in it breaks its decoder.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from capture.wire.binaries.references import EmbeddedBinary
from capture.wire.framing import media_types

if TYPE_CHECKING:
    from PIL import Image

LONGEST_SIDE = 160
MAX_THUMBNAIL = 8 * 1024
MAX_IMAGE = 32 * 1024 * 1024  # bytes
MAX_PIXELS = 24_000_000  # 4 bytes each when decoded
MAX_IMAGES = 500  # of one call
REMEMBERED = 500  # 4 MB at the most
_QUALITIES = (70, 40, 10)
_FORMATS = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/gif": "GIF",
    "image/webp": "WEBP",
}


class Thumbnail(NamedTuple):
    """The size of an image in pixels, and the image in small."""

    width: int
    height: int
    webp: bytes | None  # None: the image is too large, or broken


class Thumbnails:
    """Makes thumbnails, and remembers the last ones: an agent sends its history with every call."""

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, Thumbnail | None] = OrderedDict()

    def make(self, binaries: Iterable[EmbeddedBinary], found: dict[bytes, Thumbnail]) -> None:
        """Adds thumbnails by digest, of those binaries that are images: the first MAX_IMAGES."""
        images = (one for one in binaries if media_types.sniff(one.data) in _FORMATS)
        for binary in islice(images, MAX_IMAGES):
            if binary.digest not in self._seen:
                self._seen[binary.digest] = thumbnail_of(binary.data)
                while len(self._seen) > REMEMBERED:
                    self._seen.popitem(last=False)
            seen = self._seen.get(binary.digest)
            if seen is not None:
                found[binary.digest] = seen


def thumbnail_of(data: bytes) -> Thumbnail | None:
    """Returns None for anything but an image that can be read."""
    kind = _FORMATS.get(media_types.sniff(data) or "")
    if kind is None or len(data) > MAX_IMAGE:
        return None
    # Imported late: most calls have no images, and the import takes 60 ms and 12 MB.
    from PIL import Image

    try:
        with Image.open(BytesIO(data), formats=(kind,)) as image:
            width, height = image.size
            small = _webp(image) if width * height <= MAX_PIXELS else None
            return Thumbnail(width, height, small)
    except Exception:  # Pillow raises whatever its decoders do: SyntaxError, struct.error, …
        return None


def _webp(image: Image.Image) -> bytes | None:
    from PIL import Image, ImageOps

    try:
        image.draft("RGB", (2 * LONGEST_SIDE, 2 * LONGEST_SIDE))  # JPEGs are decoded smaller
        transparent = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
        small = image.convert("RGBA" if transparent else "RGB")
        small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BILINEAR)
        ImageOps.exif_transpose(small, in_place=True)
        for quality in _QUALITIES:
            file = BytesIO()
            small.save(file, "WEBP", quality=quality)
            if file.tell() <= MAX_THUMBNAIL:
                return file.getvalue()
    except Exception:  # Pillow, as above; the size in the header is known
        pass
    return None
