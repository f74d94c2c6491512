#!/usr/bin/env python
"""Django's command line for AgentLedger."""

import os
import sys

from agentledger_site import startup_checks


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentledger_site.settings")
    startup_checks.check()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
