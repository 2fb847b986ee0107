"""What do the URLs of the status page answer, and to whom?"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlencode

from django.apps import apps
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render, resolve_url
from django.urls import NoReverseMatch, reverse
from django.utils.timezone import now
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.clickjacking import xframe_options_deny
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods, require_safe

from django_gmf_router import clusters
from django_gmf_router.routing.advice import Explanation, explain
from django_gmf_router.status_page.cluster_reports import ClusterReport, cluster_report
from django_gmf_router.status_page.forms import Order, OrderRefused, Question

P = ParamSpec("P")
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]

CONTROL = "gmf_router.control"
VIEW_CHANGES = "gmf_router.view_control"
LEAST_POLL_SECONDS = 0.5
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


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


@never_cache
@xframe_options_deny
@staff_only
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def status(request: HttpRequest) -> HttpResponse:
    """Show the clusters, or change what POST says; GET with `method` and `path` explains where that would read."""
    if request.method != "POST":
        return _page(request)
    if not may_steer(request):
        raise PermissionDenied
    try:
        told = Order(request.POST).carry_out(by=request.user.get_username())
    except OrderRefused as refusal:
        return _page(request, refusal)
    messages.success(request, told, fail_silently=True)
    return HttpResponseRedirect(request.path)


@never_cache
@staff_only
@require_safe
def status_json(request: HttpRequest) -> JsonResponse:
    """Tell the same as data."""
    question = _question(request)
    return JsonResponse(
        {
            "process": os.getpid(),
            "at": now().isoformat(),
            "clusters": [report.as_dict() for report in _reports(request)],
            "explanations": [{"cluster": name} | found.as_dict() for name, found in _explanations(question)],
        }
    )


def _page(request: HttpRequest, refusal: OrderRefused | None = None) -> HttpResponse:
    question = _question(request)
    context = {
        **_surroundings(request),
        "title": _("Status of the clusters"),
        "clusters": _reports(request),
        "may_steer": may_steer(request),
        "refusal": refusal,
        "process": os.getpid(),
        "poll_milliseconds": _poll_milliseconds(),
        "question": question,
        "methods": METHODS,
        "explanations": _explanations(question),
    }
    return render(request, "gmf_router/status.html", context, status=refusal.status if refusal else 200)


def _surroundings(request: HttpRequest) -> dict[str, Any]:
    """Return what the base template needs: the admin's where the site has one."""
    if apps.is_installed("django.contrib.admin"):
        from django.contrib import admin  # noqa: PLC0415  it needs its app

        try:
            reverse("admin:index")
        except NoReverseMatch:
            pass
        else:
            return {**admin.site.each_context(request), "base": "admin/base_site.html"}
    return {"base": "gmf_router/base.html"}


def _reports(request: HttpRequest) -> list[ClusterReport]:
    names_hosts, tells_changes = may_steer(request), may_see_changes(request)
    return [
        cluster_report(cluster, names_hosts=names_hosts, tells_changes=tells_changes)
        for cluster in clusters.registry().clusters
    ]


def _question(request: HttpRequest) -> Question:
    return Question(request.GET if "path" in request.GET else None)


def _explanations(question: Question) -> list[tuple[str, Explanation]]:
    """Return for each cluster where the request would read."""
    if not question.is_valid():
        return []
    method, path = question.cleaned_data["method"], question.cleaned_data["path"]
    return [
        (cluster.config.primary, explain(cluster.config, cluster.policy, method=method, path=path, model=None))
        for cluster in clusters.registry().clusters
    ]


def _poll_milliseconds() -> int:
    """Return how often the page asks anew: twice an INTERVAL, so that it shows a change within two."""
    intervals = [cluster.config.health.interval for cluster in clusters.registry().clusters]
    return int(1000 * max(LEAST_POLL_SECONDS, min(intervals, default=1.0) / 2))
