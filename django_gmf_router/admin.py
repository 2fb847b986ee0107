"""How does the admin's index lead to the status page?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, reverse

from django_gmf_router.models import Status

if TYPE_CHECKING:
    StatusModelAdmin = admin.ModelAdmin[Status]
else:  # Django's cannot be subscripted
    StatusModelAdmin = admin.ModelAdmin


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
