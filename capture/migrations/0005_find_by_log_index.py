"""What is in the log is found by its index, and what a deletion removed by that of its entry."""
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('capture', '0004_index_failures_and_estimates'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='call',
            index=models.Index(fields=['log_index'], name='call_in_the_log'),
        ),
        migrations.AddIndex(
            model_name='tombstone',
            index=models.Index(fields=['log_index'], name='tombstone_in_the_log'),
        ),
        migrations.AddIndex(
            model_name='tombstone',
            index=models.Index(fields=['deletion_index', 'log_index'], name='tombstone_of_a_deletion'),
        ),
    ]
