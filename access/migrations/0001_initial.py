"""Tokens, and the audit log with the one row of AuditChain and triggers that refuse what changes or
removes entries.

On SQLite a migration that alters the table makes it anew, and must make these triggers again.
"""

from django.db import migrations, models


REASON = "the audit log is append-only"

SQLITE = [
    f"""CREATE TRIGGER audit_{verb.lower()} BEFORE {verb} ON access_auditentry
    BEGIN SELECT RAISE(ABORT, '{REASON}'); END"""
    for verb in ("UPDATE", "DELETE")
]
SQLITE_BACK = ["DROP TRIGGER audit_update", "DROP TRIGGER audit_delete"]

POSTGRESQL = [
    f"""CREATE FUNCTION access_audit_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION '{REASON}'; END $$""",
    """CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON access_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION access_audit_append_only()""",
]
POSTGRESQL_BACK = [
    "DROP TRIGGER audit_append_only ON access_auditentry",
    "DROP FUNCTION access_audit_append_only()",
]


def close(apps, schema_editor):
    apps.get_model("access", "AuditChain").objects.get_or_create(pk=1)
    for statement in SQLITE if schema_editor.connection.vendor == "sqlite" else POSTGRESQL:
        schema_editor.execute(statement)


def reopen(apps, schema_editor):
    is_sqlite = schema_editor.connection.vendor == "sqlite"
    for statement in SQLITE_BACK if is_sqlite else POSTGRESQL_BACK:
        schema_editor.execute(statement)


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='AuditChain',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('last_id', models.BigIntegerField(default=0)),
                ('last_hash', models.CharField(default='0000000000000000000000000000000000000000000000000000000000000000', max_length=64)),
            ],
        ),
        migrations.CreateModel(
            name='AuditEntry',
            fields=[
                ('id', models.BigIntegerField(primary_key=True, serialize=False)),
                ('at', models.DateTimeField()),
                ('actor', models.CharField(max_length=255)),
                ('address', models.CharField(max_length=64, null=True)),
                ('action', models.CharField(max_length=64)),
                ('object', models.TextField()),
                ('details', models.JSONField()),
                ('previous_hash', models.CharField(max_length=64)),
                ('hash', models.CharField(max_length=64)),
            ],
            options={
                'verbose_name_plural': 'audit entries',
                'indexes': [models.Index(fields=['at'], name='audit_in_time'), models.Index(fields=['action', 'id'], name='audit_of_an_action')],
            },
        ),
        migrations.CreateModel(
            name='Token',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100)),
                ('role', models.CharField(choices=[('ingest', 'ingest'), ('viewer', 'viewer'), ('editor', 'editor'), ('admin', 'admin')], max_length=16)),
                ('secret_hash', models.CharField(editable=False, max_length=64, unique=True)),
                ('prefix', models.CharField(editable=False, max_length=16)),
                ('created_at', models.DateTimeField(editable=False)),
                ('created_by', models.CharField(editable=False, max_length=255)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(editable=False, null=True)),
                ('last_used_at', models.DateTimeField(editable=False, null=True)),
                ('daily_budget_usd', models.DecimalField(blank=True, decimal_places=10, max_digits=20, null=True)),
            ],
            options={
                'constraints': [models.CheckConstraint(condition=models.Q(('role__in', ['ingest', 'viewer', 'editor', 'admin'])), name='token_role_is_known'), models.CheckConstraint(condition=models.Q(('daily_budget_usd', None), models.Q(('daily_budget_usd__gte', 0), ('role', 'ingest')), _connector='OR'), name='token_budget_is_of_ingest', violation_error_message='only an ingest token has a daily budget, of 0 or more'), models.UniqueConstraint(condition=models.Q(('revoked_at', None)), fields=('name',), name='token_name_in_force_once')],
            },
        ),
        migrations.RunPython(close, reopen),
    ]
