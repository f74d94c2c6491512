"""Reports find the calls that failed, and those whose tokens are estimates, by their time."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('capture', '0003_evidence_log'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='call',
            index=models.Index(condition=models.Q(('outcome', 'completed'), _negated=True), fields=['timestamp'], name='call_that_failed'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(condition=models.Q(('usage_source', 'estimated')), fields=['timestamp'], name='call_with_estimates'),
        ),
    ]
