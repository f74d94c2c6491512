from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('capture', '0003_usage_and_cost'),
    ]

    operations = [
        migrations.AddField(
            model_name='callbody',
            name='units',
            field=models.JSONField(null=True),
        ),
    ]
