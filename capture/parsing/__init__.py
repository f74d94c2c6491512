"""An exchange becomes a parsed call."""
