"""A model whose rows say whose they are, wherever they are kept."""

from __future__ import annotations

from django.db import models


class Parcel(models.Model):
    tenant = models.CharField(max_length=50)
