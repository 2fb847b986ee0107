"""What does Django's admin show? Who said what, that nothing can be saved meanwhile, and the way to the status page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.messages import WARNING, get_messages
from django.contrib.messages.storage.base import Message
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse

from django_gmf_router import clusters
from django_gmf_router.exceptions import MaintenanceMode
from django_gmf_router.models import Control, Status

if TYPE_CHECKING:
    ControlModelAdmin = admin.ModelAdmin[Control]
    StatusModelAdmin = admin.ModelAdmin[Status]
else:  # Django's cannot be subscripted
    ControlModelAdmin = StatusModelAdmin = admin.ModelAdmin


@admin.register(Control)
class ControlAdmin(ControlModelAdmin):
    """The changes of control, to be read: they are made by `gmf_control` and by the status page."""

    list_display = ("version", "changed_at", "changed_by", "state", "reason")
    list_display_links = None
    search_fields = ("changed_by", "reason", "state")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Return False: what is said is said by commands."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Control | None = None) -> bool:  # noqa: ARG002
        """Return False: what was said stays."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Control | None = None) -> bool:  # noqa: ARG002
        """Return False: what was said stays."""
        return False


@admin.register(Status)
class StatusAdmin(StatusModelAdmin):
    """A line of the index, for all of the staff: no template is replaced. Behind it is nothing but the page."""

    def has_module_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        """Return whether it is shown: to the staff, where the site includes the page."""
        return bool(_address())

    def get_model_perms(self, request: HttpRequest) -> dict[str, bool]:  # noqa: ARG002
        """Return what the index needs for a link without further ones beside it."""
        return {"add": False, "change": False, "delete": False, "view": True}

    def has_view_permission(self, request: HttpRequest, obj: Status | None = None) -> bool:  # noqa: ARG002
        """Refuse all other pages that the admin has for a model."""
        return False

    has_add_permission = has_change_permission = has_delete_permission = has_view_permission

    def changelist_view(
        self,
        request: HttpRequest,  # noqa: ARG002
        extra_context: dict[str, object] | None = None,  # noqa: ARG002
    ) -> HttpResponse:
        """Go to the page."""
        return HttpResponseRedirect(_address() or reverse("admin:index"))


def _address() -> str | None:
    try:
        return reverse("gmf_router:status")
    except NoReverseMatch:
        return None


class WithBanner:
    """The messages of a request, after one that says why nothing can be saved. It is made for this page, and not kept.

    The others are asked for as the page shows them: one that shows none keeps them for the next.
    """

    def __init__(self, request: HttpRequest, texts: list[str]) -> None:
        """Take whose messages follow, and what is said before them."""
        self._request = request
        self._texts = texts

    def __iter__(self) -> Iterator[Message]:
        yield from (Message(WARNING, text) for text in self._texts)
        yield from get_messages(self._request)


def _with_banner(each_context: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """Return `each_context` of an admin site such that its pages have a banner in maintenance."""

    @wraps(each_context)
    def method(site: admin.AdminSite, request: HttpRequest) -> dict[str, Any]:
        context = each_context(site, request)
        texts = [
            MaintenanceMode(cluster.config.primary, cluster.monitor.steering.maintenance_reason).outcome
            for cluster in clusters.registry().clusters
            if cluster.monitor.steering.maintenance
        ]
        # The context of a page comes before that of the processors, which have the messages alone.
        return {**context, "messages": WithBanner(request, texts)} if texts else context

    return method


# Each page of the admin asks it for its context; a template that could be overridden may be the site's own already.
admin.AdminSite.each_context = _with_banner(admin.AdminSite.each_context)  # type: ignore[method-assign]
