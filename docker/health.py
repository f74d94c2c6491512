"""Ends with status 0 if /health responds, and with 1 otherwise."""

import os
import sys
import urllib.error
import urllib.request

port = os.environ.get("AGENTLEDGER_PORT") or "8000"
try:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as response:
        healthy = response.status == 200
except (urllib.error.URLError, TimeoutError):
    healthy = False
sys.exit(0 if healthy else 1)
