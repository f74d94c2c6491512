"""The one row of Ledger. Backwards it goes with its table."""

from django.db import migrations


def add_the_ledger_row(apps, schema_editor):
    apps.get_model("capture", "Ledger").objects.get_or_create(pk=1)


class Migration(migrations.Migration):
    dependencies = [("capture", "0001_ledger")]
    operations = [migrations.RunPython(add_the_ledger_row, migrations.RunPython.noop)]
