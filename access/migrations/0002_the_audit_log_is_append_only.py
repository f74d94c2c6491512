"""The one row of AuditChain, and triggers that refuse what changes or removes entries. Backwards they
go. On SQLite a migration that alters the table makes it anew, and must make these triggers again."""

from django.db import migrations

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
    dependencies = [("access", "0001_tokens_and_audit")]
    operations = [migrations.RunPython(close, reopen)]
