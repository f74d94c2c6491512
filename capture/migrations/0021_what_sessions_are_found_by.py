"""SessionValue and `names` of the sessions that are there. Backwards they go with their columns."""

from django.db import migrations

AT_ONCE = 500


def fill(apps, schema_editor):
    Session = apps.get_model("capture", "Session")
    SessionValue = apps.get_model("capture", "SessionValue")
    last = 0
    while page := list(Session.objects.filter(id__gt=last).order_by("id")[:AT_ONCE]):
        last = page[-1].id
        values = []
        for session in page:
            names = [session.session_id, *session.agents, *session.users]
            session.names = "\n".join(names).casefold()
            values += [
                SessionValue(session=session, name=name, value=value)
                for name, found in (
                    ("model_id", session.models),
                    ("agent_name", session.agents),
                    ("user_id", session.users),
                    ("app_id", session.apps),
                    ("environment", session.environments),
                )
                for value in found
            ]
        SessionValue.objects.bulk_create(values)
        Session.objects.bulk_update(page, ["names"])


class Migration(migrations.Migration):
    dependencies = [("capture", "0020_deletion_and_finding_sessions")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
