"""What do the addresses of the panel answer?"""

from __future__ import annotations

from functools import cache

from django.http import Http404, HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from django_gmf_router.testing import LocalClusterError
from testproject.outages import local
from testproject.outages.nodes import Replicas


@cache
def replicas() -> Replicas:
    """Return the demo's."""
    return Replicas(local.cluster())


@never_cache
@require_safe
def outages(_request: HttpRequest) -> JsonResponse:
    """`/outages`: how the servers of the replicas are."""
    return JsonResponse({"replicas": replicas().states()})


@never_cache
@require_POST
def act(_request: HttpRequest, action: str, node: str) -> JsonResponse:
    """`/outages/<action>/<replica>`."""
    if action not in replicas().actions:
        raise Http404(f"There is no {action}: choose one of {', '.join(replicas().actions)}.")
    try:
        replicas().act(action, node)
    except LocalClusterError as error:
        return JsonResponse({"error": str(error), "replicas": replicas().states()}, status=409)
    return JsonResponse({"replicas": replicas().states()})
