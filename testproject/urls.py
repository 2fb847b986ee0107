"""Which pages has the demo site?"""

from __future__ import annotations

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    path("", include("testproject.served.urls")),
    path("", include("testproject.places.urls")),
    path("", include("testproject.tiles.urls")),
    *([path("", include("testproject.parcels.urls"))] if settings.HAS_PARCELS else []),
    path("gmf/", include("django_gmf_router.urls")),
    path("admin/", admin.site.urls),
]
