"""Daphne, made fit for a transparent proxy.

Unchanged it reads whole uploads into memory, never waits for a slow reader, drops header names with
an underscore, refuses values with "Å", parses forms, names itself in responses and cuts headers at
16 KiB. What is changed relies on private members of Daphne, Twisted and autobahn:
tests/capture/server/test_private_members.py names them.
"""

# Installs Twisted's reactor: it must be imported before anything else of Twisted.
import daphne.server  # noqa: F401 (for that effect alone)
