"""Checks the environment before anything is started."""

from __future__ import annotations

import os
import sys
from functools import cache

from agentledger_site import conf
from agentledger_site.database import databases


@cache
def check() -> None:
    """Warns about unknown variables. Ends the process with status 2 if a value cannot be used."""
    for name, nearest in conf.find_unknown_names(os.environ).items():
        hint = f"; did you mean {nearest}?" if nearest else ""
        print(f"warning: {name} is not a variable of AgentLedger{hint}", file=sys.stderr)
    try:
        conf.config().refuse_one_port()
        databases(conf.config())
        conf.config().price_sources.read_operators()
    except (conf.BadValue, ValueError) as bad:
        print(bad, file=sys.stderr)
        sys.exit(2)
