"""What do the sites of this benchmark read? Rows that say which server they came from."""

from __future__ import annotations

from django.db import models


class Place(models.Model):
    """A row of a view, which may be slow on one server; see `benchmarks.slowness.stage`."""

    name = models.TextField()
    # Of the server that answers.
    port = models.IntegerField()

    class Meta:
        managed = False
        db_table = "bench_place"

    def __str__(self) -> str:
        return self.name
