"""Which tables do the places need at first?"""

from __future__ import annotations

import django.core.validators
from django.db import migrations, models

import testproject.places.models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="ShortLink",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("ref", models.SlugField(unique=True)),
                (
                    "target",
                    models.CharField(max_length=500, validators=[testproject.places.models.validate_target]),
                ),
                ("hits", models.PositiveBigIntegerField(default=0, editable=False)),
            ],
        ),
        migrations.CreateModel(
            name="Place",
            fields=[
                (
                    "id",
                    models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID"),
                ),
                ("name", models.CharField(max_length=200)),
                (
                    "category",
                    models.CharField(
                        choices=[
                            ("town", "Town"),
                            ("fountain", "Fountain"),
                            ("school", "School"),
                            ("pharmacy", "Pharmacy"),
                            ("playground", "Playground"),
                            ("viewpoint", "Viewpoint"),
                            ("bus_stop", "Bus Stop"),
                            ("recycling", "Recycling"),
                        ],
                        db_index=True,
                        max_length=20,
                    ),
                ),
                (
                    "lon",
                    models.FloatField(
                        validators=[
                            django.core.validators.MinValueValidator(-180),
                            django.core.validators.MaxValueValidator(180),
                        ],
                        verbose_name="longitude",
                    ),
                ),
                (
                    "lat",
                    models.FloatField(
                        validators=[
                            django.core.validators.MinValueValidator(-90),
                            django.core.validators.MaxValueValidator(90),
                        ],
                        verbose_name="latitude",
                    ),
                ),
                ("updated", models.DateTimeField(auto_now=True)),
            ],
            options={
                "indexes": [models.Index(fields=["lon", "lat"], name="places_place_position")],
            },
        ),
    ]
