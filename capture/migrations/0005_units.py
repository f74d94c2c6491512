from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("capture", "0004_kept_answers"),
    ]

    operations = [
        migrations.AddField(
            model_name='callbody',
            name='units',
            field=models.JSONField(null=True),
        ),
    ]
