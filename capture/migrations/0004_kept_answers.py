from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("capture", "0003_usage_and_cost")]

    operations = [
        migrations.AddField("call", "response_id", models.CharField(max_length=255, null=True)),
        migrations.AddField("call", "fetch_of", models.UUIDField(null=True)),
        migrations.AddIndex(
            "call",
            models.Index(
                fields=["response_id"],
                name="call_of_response",
                condition=models.Q(response_id__isnull=False),
            ),
        ),
    ]
