"""The ledger: sessions, calls and what was said in them, rollups, spool positions, tombstones."""

import django.db.models.deletion
from django.db import migrations, models



def add_the_ledger_row(apps, schema_editor):
    """The one row of Ledger. Backwards it goes with its table."""
    apps.get_model("capture", "Ledger").objects.get_or_create(pk=1)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Call',
            fields=[
                ('action_id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('seq', models.BigIntegerField(unique=True)),
                ('scope', models.BigIntegerField()),
                ('timestamp', models.DateTimeField()),
                ('agent_name', models.CharField(max_length=512, null=True)),
                ('user_id', models.CharField(max_length=512, null=True)),
                ('app_id', models.CharField(max_length=512, null=True)),
                ('ingest_token', models.CharField(max_length=255, null=True)),
                ('environment', models.CharField(max_length=512)),
                ('parent_action_id', models.UUIDField(null=True)),
                ('handoff_from', models.CharField(max_length=512, null=True)),
                ('handoff_to', models.CharField(max_length=512, null=True)),
                ('method', models.CharField(max_length=16)),
                ('path', models.TextField()),
                ('wire_format', models.CharField(max_length=32)),
                ('provider', models.CharField(max_length=64)),
                ('model_id', models.CharField(max_length=255, null=True)),
                ('response_model', models.CharField(max_length=255, null=True)),
                ('response_id', models.CharField(max_length=255, null=True)),
                ('fetch_of', models.UUIDField(null=True)),
                ('streaming', models.BooleanField()),
                ('outcome', models.CharField(max_length=16)),
                ('status_code', models.IntegerField(null=True)),
                ('stop_reason', models.CharField(max_length=255, null=True)),
                ('error_detail', models.TextField(null=True)),
                ('budget_warning', models.JSONField(null=True)),
                ('tokens_in', models.BigIntegerField(null=True)),
                ('tokens_out', models.BigIntegerField(null=True)),
                ('tokens_cache_read', models.BigIntegerField(null=True)),
                ('tokens_cache_write', models.BigIntegerField(null=True)),
                ('tokens_cache_write_1h', models.BigIntegerField(null=True)),
                ('tokens_reasoning', models.BigIntegerField(null=True)),
                ('tokens_audio_in', models.BigIntegerField(null=True)),
                ('tokens_audio_out', models.BigIntegerField(null=True)),
                ('tokens_image_in', models.BigIntegerField(null=True)),
                ('tokens_image_out', models.BigIntegerField(null=True)),
                ('usage_source', models.CharField(max_length=16)),
                ('cost_usd', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ('cache_savings_usd', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ('price_source', models.CharField(max_length=255, null=True)),
                ('service_tier', models.CharField(max_length=255, null=True)),
                ('attempt', models.IntegerField(default=1)),
                ('retry_of', models.UUIDField(null=True)),
                ('latency_ms', models.FloatField(null=True)),
                ('ttft_ms', models.FloatField(null=True)),
                ('request_bytes', models.BigIntegerField(null=True)),
                ('response_bytes', models.BigIntegerField()),
                ('request_sha256', models.CharField(max_length=64, null=True)),
                ('response_sha256', models.CharField(max_length=64)),
                ('preview', models.CharField(max_length=200, null=True)),
                ('refusal_code', models.CharField(max_length=32, null=True)),
                ('deleted_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='DeletedSession',
            fields=[
                ('digest', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('deleted_at', models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name='Ledger',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('last_seq', models.BigIntegerField(default=0)),
                ('last_message_id', models.BigIntegerField(default=0)),
                ('last_session_id', models.BigIntegerField(default=0)),
                ('last_rollup_key_id', models.BigIntegerField(default=0)),
                ('n_removals', models.BigIntegerField(default=0)),
            ],
        ),
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
        migrations.CreateModel(
            name='SpoolPosition',
            fields=[
                ('segment', models.CharField(max_length=255, primary_key=True, serialize=False)),
                ('offset', models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='TakenOver',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('call_seq', models.BigIntegerField()),
            ],
            options={
                'verbose_name_plural': 'taken over',
            },
        ),
        migrations.CreateModel(
            name='Tombstone',
            fields=[
                ('action_id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('seq', models.BigIntegerField(null=True)),
                ('digest', models.CharField(max_length=64)),
                ('deleted_at', models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name='Binary',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.BigIntegerField()),
                ('digest', models.BinaryField()),
                ('media_type', models.CharField(max_length=255)),
                ('size_bytes', models.BigIntegerField()),
                ('width', models.IntegerField(null=True)),
                ('height', models.IntegerField(null=True)),
                ('thumbnail', models.BinaryField(null=True)),
                ('data', models.BinaryField(null=True)),
                ('action_id', models.UUIDField()),
            ],
            options={
                'verbose_name_plural': 'binaries',
                'constraints': [models.UniqueConstraint(fields=('scope', 'digest'), name='binary_once_in_its_scope')],
            },
        ),
        migrations.CreateModel(
            name='CallBody',
            fields=[
                ('call', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='body', serialize=False, to='capture.call')),
                ('content', models.TextField(null=True)),
                ('reasoning', models.TextField(null=True)),
                ('choices', models.JSONField(null=True)),
                ('temperature', models.FloatField(null=True)),
                ('max_tokens', models.BigIntegerField(null=True)),
                ('request_params', models.JSONField(null=True)),
                ('usage', models.JSONField(null=True)),
                ('units', models.JSONField(null=True)),
                ('cost_parts', models.JSONField(null=True)),
                ('tool_results', models.JSONField(null=True)),
                ('refusal', models.JSONField(null=True)),
                ('heads', models.JSONField()),
                ('notes', models.JSONField(null=True)),
                ('prompt_ref', models.BigIntegerField(null=True)),
                ('part_refs', models.BinaryField()),
                ('frame', models.BinaryField(null=True)),
                ('frame_is_whole', models.BooleanField(default=False)),
                ('frame_encoding', models.SmallIntegerField(default=0)),
                ('response', models.BinaryField()),
                ('response_encoding', models.SmallIntegerField(default=0)),
            ],
        ),
        migrations.CreateModel(
            name='Message',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('scope', models.BigIntegerField()),
                ('digest', models.BinaryField()),
                ('kind', models.CharField(max_length=8)),
                ('action_id', models.UUIDField()),
                ('data', models.BinaryField()),
                ('encoding', models.SmallIntegerField(default=0)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('scope', 'digest'), name='message_once_in_its_scope')],
            },
        ),
        migrations.CreateModel(
            name='PriceCorrection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('corrected_at', models.DateTimeField()),
                ('old_cost_usd', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ('new_cost_usd', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ('old_price_source', models.CharField(max_length=255, null=True)),
                ('new_price_source', models.CharField(max_length=255)),
                ('call', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='price_corrections', to='capture.call')),
            ],
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
        migrations.CreateModel(
            name='Session',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('session_id', models.CharField(max_length=512)),
                ('started_at', models.DateTimeField()),
                ('last_call_at', models.DateTimeField()),
                ('call_count', models.BigIntegerField(default=0)),
                ('error_count', models.BigIntegerField(default=0)),
                ('refused_count', models.BigIntegerField(default=0)),
                ('total_tokens_in', models.BigIntegerField(null=True)),
                ('total_tokens_out', models.BigIntegerField(null=True)),
                ('total_cost_usd', models.DecimalField(decimal_places=10, max_digits=20, null=True)),
                ('total_latency_ms', models.FloatField(null=True)),
                ('agents', models.JSONField(default=list)),
                ('users', models.JSONField(default=list)),
                ('apps', models.JSONField(default=list)),
                ('environments', models.JSONField(default=list)),
                ('revision', models.BigIntegerField(default=0)),
                ('names', models.TextField(default='')),
                ('labels', models.JSONField(default=list)),
                ('note', models.TextField(null=True)),
                ('pinned', models.BooleanField(default=False)),
                ('deleted_at', models.DateTimeField(null=True)),
                ('models', models.JSONField(default=list)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('deleted_at', None)), fields=['-last_call_at', '-id'], name='session_newest_first'), models.Index(condition=models.Q(('deleted_at__isnull', False)), fields=['deleted_at'], name='session_to_be_removed')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('deleted_at', None)), fields=('session_id',), name='session_id_once')],
            },
        ),
        migrations.AddField(
            model_name='call',
            name='session',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='calls', to='capture.session'),
        ),
        migrations.CreateModel(
            name='SessionValue',
            fields=[
                ('name', models.CharField(max_length=16)),
                ('value', models.CharField(max_length=512)),
                ('pk', models.CompositePrimaryKey('name', 'value', 'session_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('session', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='values', to='capture.session')),
            ],
        ),
        migrations.CreateModel(
            name='Spend',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('budget', models.CharField(max_length=16)),
                ('key', models.CharField(max_length=512)),
                ('day', models.DateField()),
                ('usd', models.DecimalField(decimal_places=10, max_digits=20)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('budget', 'key', 'day'), name='spend_once_of_a_budget')],
            },
        ),
        migrations.CreateModel(
            name='Stop',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(max_length=16)),
                ('value', models.CharField(max_length=512)),
                ('reason', models.TextField()),
                ('who', models.CharField(max_length=255, null=True)),
                ('created_at', models.DateTimeField()),
                ('lifted_at', models.DateTimeField(null=True)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('scope', 'everything'), ('value', '')), models.Q(models.Q(('scope', 'everything'), _negated=True), models.Q(('value', ''), _negated=True)), _connector='OR'), name='stop_says_whose_calls'), models.UniqueConstraint(condition=models.Q(('lifted_at', None)), fields=('scope', 'value'), name='stop_in_force_once')],
            },
        ),
        migrations.CreateModel(
            name='ToolCall',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.BigIntegerField()),
                ('position', models.IntegerField()),
                ('tool_call_id', models.CharField(max_length=255, null=True)),
                ('name', models.CharField(max_length=255, null=True)),
                ('arguments', models.TextField()),
                ('result', models.JSONField(null=True)),
                ('result_is_error', models.BooleanField(null=True)),
                ('result_action_id', models.UUIDField(null=True)),
                ('call', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tool_call_rows', to='capture.call')),
            ],
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(fields=['session', 'timestamp', 'seq'], name='call_of_session_in_time'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(fields=['-timestamp'], name='call_newest_first'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(fields=['scope', 'seq'], name='call_of_scope'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(condition=models.Q(('deleted_at__isnull', False)), fields=['deleted_at'], name='call_to_be_removed'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(condition=models.Q(('budget_warning__isnull', False), ('deleted_at', None)), fields=['timestamp'], name='call_with_budget_warning'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(condition=models.Q(('response_id__isnull', False)), fields=['response_id'], name='call_of_response'),
        ),
        migrations.AddIndex(
            model_name='call',
            index=models.Index(condition=models.Q(('parent_action_id__isnull', False)), fields=['parent_action_id'], name='call_of_parent'),
        ),
        migrations.AddConstraint(
            model_name='call',
            constraint=models.CheckConstraint(condition=models.Q(('cost_usd__isnull', True), ('cost_usd__gte', 0), _connector='OR'), name='call_cost_not_negative'),
        ),
        migrations.AddIndex(
            model_name='toolcall',
            index=models.Index(fields=['scope', 'tool_call_id'], name='tool_call_by_its_id'),
        ),
        migrations.AddIndex(
            model_name='toolcall',
            index=models.Index(fields=['tool_call_id'], name='tool_call_of_any_scope'),
        ),
        migrations.AddIndex(
            model_name='toolcall',
            index=models.Index(condition=models.Q(('result_action_id__isnull', False)), fields=['result_action_id'], name='tool_call_by_its_result'),
        ),
        migrations.RunPython(add_the_ledger_row, migrations.RunPython.noop),
    ]
