"""What does a session need beside its connection, whichever node it is on: settings of the site's own, a tenant?"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import connections
from django.http import HttpRequest

from django_gmf_router import clusters
from django_gmf_router.postgres.sockets import HeldSocket
from django_gmf_router.postgres.sqlstates import is_failed, is_idle
from django_gmf_router.routing.unit_of_work import open_unit

if TYPE_CHECKING:
    from django.db.backends.postgresql.base import DatabaseWrapper as Base
else:
    Base = object


class SessionStateMixin(Base):
    """For a connection whose sessions have to be what the site wants now, not what they were left as.

    Each cursor asks: a session outlives its request, a connection moves, and the tenant may be known only after the
    first read of a request.
    """

    begin_statement: Callable[[Any], HeldSocket | None]
    # What a backend for tenants has: django-tenants', and its kin's.
    tenant: Any
    include_public_schema: bool
    set_tenant: Callable[..., None]

    _has_state: ClassVar[bool]
    """Whether a cursor takes more than to be made."""
    _names: ClassVar[dict[str, None]] = {}
    """The settings that any session of this process was given: a pool may lend it to another request."""
    _settings: Mapping[str, str] | None = None
    """What the session was given; None where that is not known."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Look once what the class has, not with each cursor."""
        super().__init_subclass__(**kwargs)
        own = cls.session_settings is not SessionStateMixin.session_settings
        cls._has_state = own or hasattr(cls, "set_tenant")

    def session_settings(self, request: HttpRequest | None) -> Mapping[str, str]:  # noqa: ARG002
        """Return the settings that a session must have for what is read or written next, by their names.

        For a subclass, as an engine of the site. It is asked for each cursor and must make no query; `request` is that
        of the open unit of work. They are sent where they differ from what the session has; one that is left out is
        reset.
        """
        return {}

    def _cursor_in_state(self, name: str | None = None) -> Any:
        """Return Django's cursor in a session that is what the site wants now."""
        held = self.begin_statement(None)
        try:
            # django-tenants prepares a server-side cursor with one of the driver's own.
            with self.wrap_database_errors:
                self._follow_tenant()
                cursor = super()._cursor(name)  # type: ignore[misc]
                self._send_settings()
            return cursor
        finally:
            if held is not None:
                # Often nothing was sent at all.
                held.leave_uncounted()
                held.end()

    def _follow_tenant(self) -> None:
        """Take over the tenant of the primary's connection in this thread, the only one that middleware sets."""
        cluster = clusters.of_replica(self.alias)
        if cluster is None or not hasattr(self, "set_tenant"):
            return
        primary: Any = connections[cluster.config.primary]
        if self.tenant is not primary.tenant or self.include_public_schema != primary.include_public_schema:
            self.set_tenant(primary.tenant, primary.include_public_schema)

    def _send_settings(self) -> None:
        unit = open_unit()
        wanted = dict(self.session_settings(None if unit is None else unit.request))
        self._names.update(dict.fromkeys(wanted))
        settings = {**self._names, **wanted}
        # A transaction that has failed takes nothing but its end.
        if not settings or wanted == self._settings or is_failed(self.connection):
            return
        with self.connection.cursor() as cursor:
            calls = ", ".join(["set_config(%s, %s, false)"] * len(settings))
            cursor.execute(f"SELECT {calls}", [text for setting in settings.items() for text in setting])
        # The end of a transaction may undo it, and so may that of a savepoint.
        self._settings = wanted if is_idle(self.connection) else None
