"""Who may read. The proxy path is not decided here: it is open to every agent."""
