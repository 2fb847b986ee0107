"""Who may see the status page, and who may steer by it?"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlencode

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.shortcuts import resolve_url
from django.urls import NoReverseMatch, reverse

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]

CONTROL = "gmf_router.control"
VIEW_CHANGES = "gmf_router.view_control"


def staff_only(view: View[P]) -> View[P]:
    """Serve staff; who is not logged in is sent to log in, who is no staff is refused."""

    @wraps(view)
    def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        if is_staff(request):
            return view(request, *args, **kwargs)
        user = _user(request)
        if user is None or user.is_authenticated:
            raise PermissionDenied
        return HttpResponseRedirect(f"{_login_url()}?{urlencode({'next': request.get_full_path()})}")

    return guarded


def is_staff(request: HttpRequest) -> bool:
    """Return whether somebody of the staff asks."""
    user = _user(request)
    return user is not None and user.is_active and bool(getattr(user, "is_staff", False))


def may_steer(request: HttpRequest) -> bool:
    """Return whether a member of the staff may change something, and so may see where the nodes are."""
    return is_staff(request) and bool(request.user.has_perm(CONTROL))


def may_see_changes(request: HttpRequest) -> bool:
    """Return whether a member of the staff may see who steered and why, as in the admin."""
    return may_steer(request) or (is_staff(request) and bool(request.user.has_perm(VIEW_CHANGES)))


def _user(request: HttpRequest) -> Any:
    # A site may have no accounts at all.
    return getattr(request, "user", None)


def _login_url() -> str:
    try:
        return reverse("admin:login")
    except NoReverseMatch:
        return resolve_url(settings.LOGIN_URL)
