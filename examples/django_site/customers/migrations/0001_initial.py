"""Written by ``manage.py makemigrations``."""

from django.db import migrations, models

import mycelium_fractal_net.integrations.django


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Customer",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("name", models.CharField(max_length=80)),
                (
                    "email",
                    mycelium_fractal_net.integrations.django.EncryptedField(
                        models.EmailField(max_length=254),
                        index="customers-index",
                        key_id="customers",
                        normalisation="caseless",
                    ),
                ),
                (
                    "phone",
                    mycelium_fractal_net.integrations.django.EncryptedField(
                        models.CharField(blank=True, max_length=20),
                        index="customers-index",
                        key_id="customers",
                    ),
                ),
                (
                    "notes",
                    mycelium_fractal_net.integrations.django.EncryptedField(
                        models.TextField(blank=True), key_id="customers"
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(
                        mycelium_fractal_net.integrations.django.Tag("phone"),
                        name="customer_by_phone",
                    )
                ],
                "constraints": [
                    mycelium_fractal_net.integrations.django.UniqueTag(
                        "email", name="one_customer_for_each_email"
                    )
                ],
            },
        ),
    ]
