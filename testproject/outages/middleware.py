"""Who may see how the nodes are? On the demo, everybody who looks at its map."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.urls import reverse

Handler = Callable[[HttpRequest], HttpResponseBase]


class Onlooker(AnonymousUser):
    """Staff without a name and without any permission."""

    is_active = True
    is_staff = True


class OnlookersMiddleware:
    """Lets everybody read `status.json`; comes after AuthenticationMiddleware."""

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path == reverse("gmf_router:status_json") and not request.user.is_authenticated:
            request.user = Onlooker()
        return self.get_response(request)
