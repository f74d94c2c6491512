"""Recognizes media types by their first bytes, as https://mimesniff.spec.whatwg.org does and some
more."""

from __future__ import annotations

# At least four bytes each, as fewer occur in any data by chance.
_BEGINNINGS = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    *((b"\xff\xd8\xff" + bytes([marker]), "image/jpeg") for marker in range(0xC0, 0xFF)),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"ID3\x03", "audio/mpeg"),
    (b"ID3\x04", "audio/mpeg"),
    (b"\x1aE\xdf\xa3", "video/webm"),
)
_BEGIN = tuple(beginning for beginning, _ in _BEGINNINGS)
_RIFF = {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}
_BRANDS = {
    b"avif": "image/avif",
    b"heic": "image/heic",
    b"M4A ": "audio/mp4",
    b"qt  ": "video/quicktime",
}

# The names of formats that providers give beside audio, images and files.
_BY_FORMAT_NAME = {
    "aac": "audio/aac",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mp3": "audio/mpeg",
    "mpga": "audio/mpeg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "pcm": "audio/pcm",
    "pcm16": "audio/pcm",
    "wav": "audio/wav",
    "gif": "image/gif",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "webp": "image/webp",
    "mov": "video/quicktime",
    "mp4": "video/mp4",
    "mkv": "video/x-matroska",
    "webm": "video/webm",
    "csv": "text/csv",
    "doc": "application/msword",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pdf": "application/pdf",
    "zip": "application/zip",
}


def sniff(data: bytes) -> str | None:
    head = data[:16]
    if head.startswith(_BEGIN):
        return next(kind for beginning, kind in _BEGINNINGS if head.startswith(beginning))
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "video/mp4")
    return None


def from_format_name(format: str) -> str | None:
    """Returns the media type of a format's short name; a media type stays as it is, all else is
    None."""
    lowered = format.lower()
    return lowered if "/" in lowered else _BY_FORMAT_NAME.get(lowered)
