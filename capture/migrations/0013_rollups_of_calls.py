"""Rollups of the calls that are there, a transaction an hour: begun again, it goes on where it was.
Backwards they go with their tables."""

from datetime import timedelta
from itertools import islice

from django.db import migrations, transaction

from capture.ledger.rollup_sums import FACTS, HOUR, MAX_KEY, hour_of, row_id, start_of
from capture.ledger.rollups import KeyMemory, Rollups

AT_ONCE = 5000
COLUMNS = ("pk", *FACTS, "outcome", "latency_ms", "ttft_ms", "wire_format")


def add_up(apps, schema_editor):
    calls = apps.get_model("capture", "Call").objects.order_by("timestamp")
    Ledger = apps.get_model("capture", "Ledger")
    Rollup = apps.get_model("capture", "Rollup")
    memory = KeyMemory()
    after = calls
    while first := after.first():
        hour = hour_of(first.timestamp)
        end = start_of(hour) + timedelta(hours=1)
        place = (HOUR, 0, hour)
        ids = row_id(place, 0), row_id(place, MAX_KEY)
        if not Rollup.objects.filter(pk__range=ids).exists():
            with transaction.atomic():
                ledger = Ledger.objects.select_for_update().get(pk=1)
                of_hour = calls.filter(timestamp__gte=start_of(hour), timestamp__lt=end)
                add_up_hour(of_hour, ledger, memory)
                ledger.save()
        after = calls.filter(timestamp__gte=end)


def add_up_hour(calls, ledger, memory):
    refused = calls.filter(outcome="refused").values_list("pk", "body__refusal")
    n_calls = {pk: refusal["n_calls"] for pk, refusal in refused if refusal}
    rows = calls.values(*COLUMNS).iterator(AT_ONCE)
    while some := list(islice(rows, AT_ONCE)):
        rollups = Rollups(ledger, memory)
        for row in some:
            rollups.count(row, n_calls.get(row["pk"], 1))
        rollups.write()
        memory.learn(rollups.learned)


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("capture", "0012_rollups")]
    operations = [migrations.RunPython(add_up, migrations.RunPython.noop)]
