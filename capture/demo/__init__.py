"""The demo of `runproxy --demo`: a stand-in provider and a short run of three agents, which fill
the dashboard without an API key and without costs."""
