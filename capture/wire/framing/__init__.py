"""How bodies are framed: content encodings, event streams, multipart forms."""
