
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('capture', '0011_spend_of_calls'),
    ]

    operations = [
        migrations.CreateModel(
            name='RollupKey',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('digest', models.BinaryField(unique=True)),
                ('is_other', models.BooleanField(default=False)),
                ('model_id', models.CharField(max_length=255, null=True)),
                ('provider', models.CharField(max_length=64, null=True)),
                ('agent_name', models.CharField(max_length=512, null=True)),
                ('app_id', models.CharField(max_length=512, null=True)),
                ('environment', models.CharField(max_length=512, null=True)),
                ('user_id', models.CharField(max_length=512, null=True)),
            ],
        ),
        migrations.AddField(
            model_name='ledger',
            name='last_rollup_key_id',
            field=models.BigIntegerField(default=0),
        ),
        migrations.CreateModel(
            name='Rollup',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('hour', models.IntegerField()),
                ('call_count', models.BigIntegerField()),
                ('error_count', models.BigIntegerField()),
                ('refused_count', models.BigIntegerField()),
                ('tokens_in', models.BigIntegerField(null=True)),
                ('tokens_out', models.BigIntegerField(null=True)),
                ('tokens_cache_read', models.BigIntegerField(null=True)),
                ('tokens_cache_write', models.BigIntegerField(null=True)),
                ('tokens_reasoning', models.BigIntegerField(null=True)),
                ('cost', models.BigIntegerField(null=True)),
                ('cost_unknown_calls', models.BigIntegerField()),
                ('cache_savings', models.BigIntegerField(null=True)),
                ('latency', models.BinaryField()),
                ('ttft', models.BinaryField()),
                ('key', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='capture.rollupkey')),
            ],
        ),
    ]
