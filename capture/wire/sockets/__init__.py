"""How messages of a WebSocket are told apart into calls."""
