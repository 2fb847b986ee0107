"""What is a miss on a replica worth? Another client may have made the row a moment ago."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache, wraps
from typing import Any, TypeVar
from uuid import UUID

from django.core.exceptions import MultipleObjectsReturned, ObjectDoesNotExist
from django.db.models import Choices, DateField, DateTimeField, Field, Model, QuerySet, TimeField
from django.db.models.manager import BaseManager
from django.db.models.signals import post_save, pre_save

from django_gmf_router.routing.aliases import RoutedAlias
from django_gmf_router.routing.unit_of_work import open_unit
from django_gmf_router.settings.values import Role

M = TypeVar("M", bound=Model)

SAVING = ("save", "save_base", "_save_table", "_do_update")
"""The methods of a model that write an object; some packages override the inner ones."""
PLAIN = frozenset({type(None), str, bytes, bool, int, float, Decimal, date, datetime, time, timedelta, UUID})
"""What is stored alike where it is equal and of one type. In a JSONField 1 equals True and is not the same."""
PRE_SAVES = frozenset({Field.pre_save, DateField.pre_save, DateTimeField.pre_save, TimeField.pre_save})
"""Of fields that keep their value when they are saved, unless they have `auto_now`."""


class AskingTwice(QuerySet[M]):
    """A queryset whose miss counts once the primary misses it, too."""

    _plain: type[QuerySet[Model]] = QuerySet

    def get(self, *args: object, **kwargs: object) -> M:
        """Return the one row; raise what Django's `get()` raises."""
        primary = self._second()
        try:
            return super().get(*args, **kwargs)
        except ObjectDoesNotExist:
            if primary is None:
                raise
        # Outside of the handler: a row that the primary misses, too, has no replica's miss for its cause.
        return self._on(primary).get(*args, **kwargs)

    def first(self) -> M | None:
        """Return the first row, None where there is none."""
        primary, found = self._second(), super().first()
        return found if found is not None or primary is None else self._on(primary).first()

    def exists(self) -> bool:
        """Return whether there is a row."""
        primary, found = self._second(), super().exists()
        return found or (primary is not None and self._on(primary).exists())

    def in_bulk(self, id_list: Iterable[Any] | None = None, *, field_name: str = "pk") -> dict[Any, M]:
        """Return the rows by their keys; of those that are asked for the primary is asked for what is missing."""
        wanted = None if id_list is None else list(id_list)
        primary, found = self._second(), super().in_bulk(wanted, field_name=field_name)
        missing = [key for key in wanted or () if key not in found]
        if primary is not None and missing:
            found.update(self._on(primary).in_bulk(missing, field_name=field_name))
        return found

    def _second(self) -> str | None:
        """Return the primary's alias where a replica is asked first; None where no other node is to be asked.

        It is looked at before the first question: another thread of the request may write meanwhile.
        """
        alias = self.db
        return alias.primary if type(alias) is RoutedAlias and alias != alias.primary else None

    def _on(self, primary: str) -> QuerySet[M]:
        plain: Any = self.all()
        # What the primary misses is missing: it is not asked a second time.
        plain.__class__ = self._plain
        asked: QuerySet[M] = plain.using(primary)
        return asked

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with what was found: the class is made when it is asked for, and cannot be imported."""
        return _empty, (self._plain,), self.__getstate__()


def or_primary(source: QuerySet[M] | BaseManager[M]) -> QuerySet[M]:
    """Return a queryset whose `get()`, `first()`, `exists()` and `in_bulk()` ask the primary before a miss counts.

    For keys that another client has made a moment ago: a token, a link that was mailed.
    """
    queryset = source.all()
    if queryset is source.all():
        # What prefetch_related() found for a related manager: others have it, too.
        queryset = queryset.all()
    queryset.__class__ = _asking_twice(type(queryset))  # type: ignore[assignment]
    return queryset


@lru_cache(maxsize=64)
def _asking_twice(plain: type[QuerySet[Model]]) -> type[QuerySet[Model]]:
    if issubclass(plain, AskingTwice):
        return plain
    return type(f"AskingTwice{plain.__name__}", (AskingTwice, plain), {"_plain": plain, "__module__": __name__})


def _empty(plain: type[QuerySet[Model]]) -> QuerySet[Model]:
    return _asking_twice(plain)()


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
        if _only_reads(queryset.db) and not (updates and _saves_more(queryset.model)):
            # A field may have the name that is an argument of the other method.
            ignored = {"create_defaults"} if updates else set()
            found = _found(queryset, {name: value for name, value in kwargs.items() if name not in ignored})
            if found is not None and (not updates or _has(found, defaults or {})):
                return found, False
        return original(queryset, defaults, *args, **kwargs)

    return method


def _only_reads(alias: str) -> bool:
    """Return whether a read goes to a replica since the rules, and no block, sent its unit of work there."""
    unit = open_unit()
    if type(alias) is not RoutedAlias or unit is None:
        return False
    record = unit.records.get(alias.primary)
    return record is not None and record.verdict.role == Role.REPLICA and not record.wrote


def _found(queryset: QuerySet[Model], looked_for: Mapping[str, object]) -> Model | None:
    """Return the row; None where there is none or more than one: the primary knows."""
    try:
        return queryset.get(**looked_for)
    except (ObjectDoesNotExist, MultipleObjectsReturned):
        return None


def _has(found: Model, values: Mapping[str, object]) -> bool:
    """Return whether a row surely has these values, so that there is nothing to update."""
    fields = {
        name: field
        for field in found._meta.concrete_fields
        if not field.primary_key
        for name in (field.name, field.attname)
    }
    return all(name in fields and _is_kept(found, fields[name], value) for name, value in values.items())


def _is_kept(found: Model, field: Any, value: object) -> bool:
    if isinstance(value, Model) and field.is_relation:
        value = getattr(value, field.target_field.attname)
    elif isinstance(value, Choices):
        value = value.value
    kept = getattr(found, field.attname)
    return type(value) in PLAIN and type(value) is type(kept) and bool(value == kept)


def _saves_more(model: type[Model]) -> bool:
    """Return whether saving an object may do more than to write its values: by a method, a receiver, a field."""
    return (
        any(getattr(model, name) is not getattr(Model, name) for name in SAVING)
        or any(
            type(field).pre_save not in PRE_SAVES or getattr(field, "auto_now", False)
            for field in model._meta.concrete_fields
        )
        or pre_save.has_listeners(model)
        or post_save.has_listeners(model)
    )
