"""The turns of a WebSocket connection, each of which is recorded as a call."""
