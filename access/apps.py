from django.apps import AppConfig
from django.contrib.admin.apps import SimpleAdminConfig

from access import garbage_collection


class AccessConfig(AppConfig):
    name = "access"
    label = "access"
    verbose_name = "Access"

    def ready(self) -> None:
        garbage_collection.resume()


class LedgerAdminConfig(SimpleAdminConfig):
    """Admin classes are loaded with the URLs: the recorder and commands need none."""

    default_site = "access.admin_site.LedgerAdminSite"
