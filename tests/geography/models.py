"""What stands on the map?"""

from __future__ import annotations

from django.contrib.gis.db import models


class Place(models.Model):
    name = models.CharField(max_length=50)
    point = models.PointField()
