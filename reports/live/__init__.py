"""The live feed behind /ws: calls as they begin and as they are recorded (docs/live.md)."""
