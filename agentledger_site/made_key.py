"""Gives this process a key for reading where it needs one and the operator has set none."""

from __future__ import annotations

import dataclasses

from django.conf import settings

from access.local import made_key


def make_if_needed() -> None:
    """Has to be called before anything that uses the key is loaded."""
    config = settings.AGENTLEDGER
    if config.api_key is None and made_key.is_needed(may_be_local=config.local_operator):
        key = made_key.read_or_make(config.spool_path)
        settings.AGENTLEDGER = dataclasses.replace(config, api_key=key)
