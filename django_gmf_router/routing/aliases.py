"""Which aliases say more than their name? Strings that Django keeps in `_state.db` and hands back."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, SupportsIndex

from django.db.models import Model, QuerySet
from django.db.models.manager import BaseManager

from django_gmf_router.settings import configuration

if TYPE_CHECKING:
    from typing_extensions import Self


class RoutedAlias(str):
    """An alias as the router answers a read from a replica: it names the connection, and binds nobody to it.

    Django keeps it in the `_state.db` of what it loads, and names it where it asks no router: a generic foreign key,
    `get_next_by_FOO()`, and a generic relation, whose `delete()` and `update()` go there too (Django's ticket 36389).
    `install()` makes them ask the router all the same. It is a replica's alias, or the primary's in a test run where a
    replica would have served.

    It pickles as the primary's alias: a worker may have no replicas, and a replica may be gone when a cache is read.
    """

    __slots__ = ("primary",)
    primary: str

    def __new__(cls, alias: str, primary: str) -> Self:
        """Make the answer `alias` of the cluster whose primary is `primary`."""
        routed = super().__new__(cls, alias)
        routed.primary = primary
        return routed

    def __copy__(self) -> RoutedAlias:
        return self

    def __deepcopy__(self, memo: object) -> RoutedAlias:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex) -> tuple[type[str], tuple[str]]:
        return str, (self.primary,)


class ClusterAlias(RoutedAlias):
    """The primary's alias, as the answer to a write about an instance: it equals every alias of its cluster.

    Django's `RelatedManager.add()` refuses objects whose `_state.db` differs from the alias of the write ("instance
    isn't saved"). An object read from a replica is as saved as one read from the primary: it belongs to the cluster.
    Python asks the subclass on the right of `!=` first, so that `obj._state.db != db` sees this rule. It hashes as the
    primary's alias.
    """

    __slots__ = ("_aliases",)
    _aliases: frozenset[str]

    @classmethod
    def of(cls, primary: str, aliases: frozenset[str]) -> ClusterAlias:
        """Make the alias `primary` that stands for all of `aliases`."""
        alias = cls(primary, primary)
        alias._aliases = aliases
        return alias

    def __eq__(self, other: object) -> bool:
        # As a plain string: the other one may be a ClusterAlias, whose own == would ask back.
        return isinstance(other, str) and str.__str__(other) in self._aliases

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return str.__hash__(self)


def is_at_home(instance: Model) -> bool:
    """Return whether `instance` is in the cluster where its own model belongs.

    Where that is another cluster, it says nothing of the models here, which may refer to it all the same.
    """
    home = configuration.cluster_of_app(instance._meta.app_label)
    return home is not None and instance._state.db in home.aliases


def install() -> None:
    """Wrap, once, what takes an alias and asks the router where it gets None: it gets None for a RoutedAlias.

    An alias that was written by hand is a plain string, and is obeyed. So is a ClusterAlias: what was saved is read
    where it was saved. `save_base()` stands for `save()`, whose warnings name the line that called it.
    """
    if hasattr(QuerySet.using, "__wrapped__"):
        return
    for owner, name in ((QuerySet, "using"), (BaseManager, "db_manager"), (Model, "save_base"), (Model, "delete")):
        setattr(owner, name, _asking(getattr(owner, name)))


def _asking(original: Callable[..., object]) -> Callable[..., object]:
    @wraps(original)
    def method(this: object, *args: object, **kwargs: object) -> object:
        by_name = {name: _unbound(value) for name, value in kwargs.items()}
        return original(this, *map(_unbound, args), **by_name)

    return method


def _unbound(value: object) -> object:
    # Not isinstance(): a ClusterAlias is obeyed.
    return None if type(value) is RoutedAlias else value
