from django.apps import AppConfig


class AccessConfig(AppConfig):
    name = "agentledger_site.access"
    label = "access"
    verbose_name = "Access"
