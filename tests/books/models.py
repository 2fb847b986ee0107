"""Models with every kind of relation that asks a router."""

from __future__ import annotations

from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import models


class Note(models.Model):
    text = models.CharField(max_length=50)
    content_type = models.ForeignKey(ContentType, on_delete=models.CASCADE)
    object_id = models.PositiveBigIntegerField()
    about = GenericForeignKey()


class Tag(models.Model):
    name = models.CharField(max_length=50, unique=True)


class Author(models.Model):
    name = models.CharField(max_length=50)
    notes = GenericRelation(Note)


class Book(models.Model):
    title = models.CharField(max_length=50)
    author = models.ForeignKey(Author, on_delete=models.CASCADE, related_name="books", null=True)
    sequel_to = models.ForeignKey("self", on_delete=models.SET_NULL, related_name="sequels", null=True)
    tags = models.ManyToManyField(Tag)


class Tile(models.Model):
    """A model of an app that another cluster may hold; see the tests of several clusters."""

    name = models.CharField(max_length=50)
