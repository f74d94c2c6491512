"""The log: its tiles and entries, and the place of each call in it."""
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('capture', '0002_ledger_identity'),
    ]

    operations = [
        migrations.CreateModel(
            name='LogTile',
            fields=[
                ('level', models.SmallIntegerField()),
                ('index', models.BigIntegerField()),
                ('pk', models.CompositePrimaryKey('level', 'index', blank=True, editable=False, primary_key=True, serialize=False)),
                ('hashes', models.BinaryField()),
            ],
        ),
        migrations.AddField(
            model_name='call',
            name='log_index',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='call',
            name='session_call',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='callbody',
            name='log_secret',
            field=models.BinaryField(null=True),
        ),
        migrations.AddField(
            model_name='ledger',
            name='log_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name='ledger',
            name='log_audit_id',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='ledger',
            name='log_size',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='session',
            name='deletion_index',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='session',
            name='n_logged',
            field=models.BigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='tombstone',
            name='deletion_index',
            field=models.BigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name='tombstone',
            name='log_index',
            field=models.BigIntegerField(null=True),
        ),
        migrations.CreateModel(
            name='LogEntry',
            fields=[
                ('index', models.BigIntegerField(primary_key=True, serialize=False)),
                ('kind', models.CharField(max_length=16)),
                ('action_id', models.UUIDField(null=True)),
                ('record', models.TextField()),
                ('salt', models.BinaryField(null=True)),
            ],
            options={
                'verbose_name_plural': 'log entries',
                'indexes': [models.Index(condition=models.Q(('action_id__isnull', False)), fields=['action_id'], name='log_entry_of_call'), models.Index(fields=['kind', 'index'], name='log_entry_of_kind')],
            },
        ),
    ]
