"""Who may see the metrics, and what is answered? The HTTP edge."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

ALLOW = "GMF_METRICS_ALLOW"
LOOPBACK = ("127.0.0.0/8", "::1/128")
FORWARDED = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED")
NOT_INSTALLED = "The metrics need prometheus-client: pip install 'django-gmf-router[prometheus]'\n"
NO_FOLDER = "PROMETHEUS_MULTIPROC_DIR names no folder: make it, empty, before the web server starts.\n"


@require_safe
@never_cache
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the metrics as Prometheus reads them, to staff and to the networks of GMF_METRICS_ALLOW.

    Raise ImproperlyConfigured where that names no networks.
    """
    if not (_is_in(request, networks()) or _is_staff(request)):
        return _line("The metrics are for staff, and for the networks of GMF_METRICS_ALLOW.\n", 403)
    try:
        from django_gmf_router.metrics.exposition import text_for  # noqa: PLC0415
    except ImportError:
        return _line(NOT_INSTALLED, 501)
    try:
        text, content_type = text_for(request.headers.get("Accept", ""))
    except ValueError:
        return _line(NO_FOLDER, 501)
    return HttpResponse(text, content_type=content_type)


def networks() -> list[IPv4Network | IPv6Network]:
    """Return the networks of GMF_METRICS_ALLOW. Raise ImproperlyConfigured, naming what is none."""
    allowed = getattr(settings, ALLOW, LOOPBACK)
    if not isinstance(allowed, (list, tuple, set, frozenset)):
        raise ImproperlyConfigured(f'{ALLOW} is {allowed!r}: give a list of networks, ["10.0.0.0/8"].')
    return list(map(_network, allowed))


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise ImproperlyConfigured(f"{ALLOW} holds {text!r}, which is no network or address.") from None


def _is_in(request: HttpRequest, allowed: list[IPv4Network | IPv6Network]) -> bool:
    address = _address_of(request)
    if address is None:
        return False
    # Whoever a proxy on this machine asks for is not on this machine.
    if address.is_loopback and any(header in request.META for header in FORWARDED):
        return False
    return any(address in network for network in allowed)


def _address_of(request: HttpRequest) -> IPv4Address | IPv6Address | None:
    """Return who asks; None where the server does not know, as with a Unix socket."""
    try:
        address = ip_address(request.META.get("REMOTE_ADDR") or "")
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _is_staff(request: HttpRequest) -> bool:
    user = getattr(request, "user", None)
    return user is not None and user.is_active and user.is_staff


def _line(text: str, status: int) -> HttpResponse:
    return HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
