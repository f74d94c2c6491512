"""The rules that say which role a route needs. The table itself is that of the site:
agentledger_site/permissions.py, read from `settings.ROUTE_RULES`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from access.roles import Role


@dataclass(frozen=True, slots=True)
class Rule:
    """The role that reading a route needs, and the one that changing something there needs."""

    read: Role
    write: Role | None = None  # None: nothing can be changed there


@dataclass(frozen=True, slots=True)
class RouteRules:
    """The rules of all routes. Routes are named as in `ResolverMatch.view_name`."""

    open: frozenset[str]  # names of routes that everyone may use, without a key
    by_name: Mapping[str, Rule]
    by_prefix: Mapping[str, Rule]  # the longest prefix of a name applies
    unnamed: Rule

    def find(self, route: str | None) -> Rule | None:
        """Returns the rule of a route; None if nobody may use it. `route` is None for a path that
        leads to no view."""
        if route is None:
            return self.unnamed
        prefixes = [prefix for prefix in self.by_prefix if route.startswith(prefix)]
        if prefixes:
            return self.by_prefix[max(prefixes, key=len)]
        return self.by_name.get(route)
