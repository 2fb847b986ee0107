"""Which addresses has the demo beside those of the site?"""

from __future__ import annotations

from django.urls import include, path

from testproject.outages import views

urlpatterns = [
    path("outages", views.outages, name="outages"),
    path("outages/<slug:action>/<slug:node>", views.act, name="outage"),
    path("", include("testproject.urls")),
]
