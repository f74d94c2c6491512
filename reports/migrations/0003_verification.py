"""What verifications of the log found."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("reports", "0002_evidence"),
    ]

    operations = [
        migrations.CreateModel(
            name="Verification",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("started_at", models.DateTimeField()),
                ("finished_at", models.DateTimeField(null=True)),
                ("n_findings", models.BigIntegerField(default=0)),
                ("state", models.JSONField()),
            ],
            options={
                "indexes": [
                    models.Index(fields=["-finished_at"], name="verification_newest_first")
                ],
            },
        ),
    ]
