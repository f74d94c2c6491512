"""A ledger has an identity, and counts the deletions of sessions."""

from django.db import migrations, models

class Migration(migrations.Migration):

    dependencies = [
        ('capture', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='deletedsession',
            name='number',
            # Those before the count began are older than all calls.
            field=models.BigIntegerField(default=1),
        ),
        migrations.AddField(
            model_name='ledger',
            name='identity',
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name='ledger',
            name='n_deletions',
            field=models.BigIntegerField(default=0),
        ),
    ]
