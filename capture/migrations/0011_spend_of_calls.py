"""What the calls that are there have cost, for budgets. Backwards the sums go with their table."""

from datetime import date

from django.db import migrations
from django.db.models import Sum
from django.db.models.functions import TruncDate

AT_ONCE = 1000
MOST = 9_999_999_999


def add_up(apps, schema_editor):
    Spend = apps.get_model("capture", "Spend")
    calls = apps.get_model("capture", "Call").objects.filter(cost_usd__gt=0).order_by()
    by_day = calls.annotate(day=TruncDate("timestamp"))
    sums = {
        "daily": by_day.values_list("day"),
        "agent": by_day.exclude(agent_name=None).values_list("day", "agent_name"),
        "user": by_day.exclude(user_id=None).values_list("day", "user_id"),
        "session": calls.exclude(session=None).values_list("session__session_id"),
    }
    for budget, groups in sums.items():
        rows = []
        for *names, usd in groups.annotate(usd=Sum("cost_usd")).iterator(AT_ONCE):
            day = date.min if budget == "session" else names.pop(0)
            key = names[0] if names else ""
            rows.append(Spend(budget=budget, key=key, day=day, usd=min(round(usd, 10), MOST)))
            if len(rows) == AT_ONCE:
                Spend.objects.bulk_create(rows)
                rows = []
        Spend.objects.bulk_create(rows)


class Migration(migrations.Migration):
    dependencies = [("capture", "0010_spend")]
    operations = [migrations.RunPython(add_up, migrations.RunPython.noop)]
