"""What is a miss on a replica worth? Another client may have made the row a moment ago."""

from __future__ import annotations

from functools import lru_cache, wraps
from typing import Any, TypeVar

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model, QuerySet
from django.db.models.manager import BaseManager
from django.db.models.signals import post_save, pre_save

from django_gmf_router.routing.aliases import RoutedAlias
from django_gmf_router.settings import configuration

M = TypeVar("M", bound=Model)


class AskingTwice(QuerySet[M]):
    """A queryset whose miss counts once the primary misses it, too."""

    def get(self, *args: Any, **kwargs: Any) -> M:
        """Return the one row; raise what Django's `get()` raises."""
        try:
            return super().get(*args, **kwargs)
        except ObjectDoesNotExist:
            there = self._there()
            if there is None:
                raise
        return there.get(*args, **kwargs)

    def first(self) -> M | None:
        """Return the first row, None where there is none."""
        found, there = super().first(), self._there()
        return found if found is not None or there is None else there.first()

    def exists(self) -> bool:
        """Return whether there is a row."""
        found, there = super().exists(), self._there()
        return found or (there is not None and there.exists())

    def in_bulk(self, id_list: Any = None, *, field_name: str = "pk") -> dict[Any, M]:
        """Return the rows by their keys; of those that are asked for the primary is asked for what is missing."""
        wanted = None if id_list is None else list(id_list)
        found, there = super().in_bulk(wanted, field_name=field_name), self._there()
        missing = [key for key in wanted or () if key not in found]
        return {**found, **there.in_bulk(missing, field_name=field_name)} if missing and there is not None else found

    def _there(self) -> QuerySet[M] | None:
        """Return the same query of the primary; None where it was that, or where an alias was given by hand."""
        cluster = configuration.cluster_of_app(self.model._meta.app_label)
        if cluster is None or type(self.db) is not RoutedAlias or self.db == cluster.primary:
            return None
        plain: Any = self.all()
        plain.__class__ = self._plain
        return plain.using(cluster.primary)

    _plain: type[QuerySet[Any]] = QuerySet


def or_primary(source: QuerySet[M] | BaseManager[M]) -> QuerySet[M]:
    """Return a queryset whose `get()`, `first()`, `exists()` and `in_bulk()` ask the primary before a miss counts.

    For keys that another client has made a moment ago: a token, a link that was mailed.
    """
    queryset = source.all()
    queryset.__class__ = _asking_twice(type(queryset))
    return queryset


@lru_cache(maxsize=64)
def _asking_twice(plain: type[QuerySet[Any]]) -> Any:
    if issubclass(plain, AskingTwice):
        return plain
    return type(f"AskingTwice{plain.__name__}", (AskingTwice, plain), {"_plain": plain, "__module__": __name__})


def install() -> None:
    """Wrap, once, `get_or_create()` and `update_or_create()`: in a request that only reads they read first.

    Django asks the primary for both, whether or not there is something to write.
    """
    if hasattr(QuerySet.get_or_create, "__wrapped__"):
        return
    QuerySet.get_or_create = _reading_first(QuerySet.get_or_create)  # type: ignore[method-assign]
    QuerySet.update_or_create = _reading_first(QuerySet.update_or_create, updates=True)  # type: ignore[method-assign]


def _reading_first(original: Any, *, updates: bool = False) -> Any:
    @wraps(original)
    def method(queryset: QuerySet[Any], defaults: Any = None, *args: Any, **kwargs: Any) -> Any:
        values = dict(defaults or {}) if updates else {}
        if type(queryset.db) is RoutedAlias and not (updates and _is_touched(queryset.model, values)):
            looked_for = {name: value for name, value in kwargs.items() if name != "create_defaults"}
            try:
                found = queryset.get(**looked_for)
            except ObjectDoesNotExist:
                found = None
            if found is not None and all(getattr(found, name) == value for name, value in values.items()):
                return found, False
        return original(queryset, defaults, *args, **kwargs)

    return method


def _is_touched(model: type[Model], values: dict[str, Any]) -> bool:
    """Return whether saving an object does more than to write these values: a time, a receiver, a callable."""
    fields = model._meta.get_fields()
    return (
        any(map(callable, values.values()))
        or any(getattr(field, "auto_now", False) for field in fields)
        or pre_save.has_listeners(model)
        or post_save.has_listeners(model)
    )
