"""The keys and checkpoints of the log, its anchors, and what this ledger saw as a witness."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reports", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Anchor",
            fields=[
                ("name", models.CharField(max_length=500, primary_key=True, serialize=False)),
                ("size", models.BigIntegerField(default=0)),
                ("last_success_at", models.DateTimeField(null=True)),
                ("last_failure_at", models.DateTimeField(null=True)),
                ("failure", models.TextField(default="")),
                ("is_failing", models.BooleanField(default=False)),
            ],
        ),
        migrations.CreateModel(
            name="Checkpoint",
            fields=[
                ("size", models.BigIntegerField(primary_key=True, serialize=False)),
                ("root", models.CharField(max_length=44)),
                ("at", models.DateTimeField()),
                ("note", models.TextField()),
                ("timestamps", models.JSONField(default=dict)),
            ],
        ),
        migrations.CreateModel(
            name="WitnessedLog",
            fields=[
                ("origin", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("size", models.BigIntegerField(default=0)),
                ("root", models.CharField(max_length=44)),
                ("note", models.TextField()),
                ("at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name="LogKey",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("verifier_key", models.CharField(max_length=319, unique=True)),
                ("registered_at", models.DateTimeField()),
                ("retired_at", models.DateTimeField(null=True)),
                ("private", models.TextField(default="")),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        models.Value(1),
                        condition=models.Q(("retired_at", None)),
                        name="log_key_in_force_once",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="WitnessRefusal",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("at", models.DateTimeField()),
                ("size", models.BigIntegerField()),
                ("root", models.CharField(max_length=44)),
                ("seen_size", models.BigIntegerField()),
                ("seen_root", models.CharField(max_length=44)),
                ("reason", models.CharField(max_length=200)),
                ("submission", models.TextField()),
                (
                    "log",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="refusals",
                        to="reports.witnessedlog",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("log", "size", "root"), name="witness_refusal_once"
                    )
                ],
            },
        ),
    ]
