
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('capture', '0008_binaries'),
    ]

    operations = [
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
    ]
