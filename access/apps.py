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
    """The admin without its usual autodiscovery: the URLs load its classes, which the recorder and
    commands do not need."""

    default_site = "access.admin_site.LedgerAdminSite"
