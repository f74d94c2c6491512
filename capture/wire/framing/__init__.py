"""The framing of bodies: content encodings, event streams, multipart forms."""
