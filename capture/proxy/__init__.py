"""A request's way through the proxy process, from the agent to the upstream and back."""
