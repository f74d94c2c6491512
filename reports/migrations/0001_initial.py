"""How far each sink has followed the ledger."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="SinkCursor",
            fields=[
                ("name", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("seq", models.BigIntegerField(default=0)),
                ("holder", models.CharField(max_length=64)),
                ("held_until", models.DateTimeField()),
            ],
        ),
    ]
