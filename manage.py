#!/usr/bin/env python
"""Django's command line for AgentLedger."""

import os
import sys

from agentledger_site import conf
from agentledger_site.database import databases


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentledger_site.settings")
    for name, nearest in conf.unknown_names(os.environ).items():
        hint = f"; did you mean {nearest}?" if nearest else ""
        print(f"warning: {name} is not a variable of AgentLedger{hint}", file=sys.stderr)
    try:
        databases(conf.config())
    except conf.BadValue as bad:
        print(bad, file=sys.stderr)
        sys.exit(2)
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
