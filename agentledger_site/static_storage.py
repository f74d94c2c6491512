"""The URLs of static files, below the root path of each request: Django itself would remember the
first one."""

from __future__ import annotations

from django.contrib.staticfiles.storage import StaticFilesStorage

from reports.addresses import root


class StaticStorage(StaticFilesStorage):
    def url(self, name: str | None) -> str:
        return root() + super().url(name)
