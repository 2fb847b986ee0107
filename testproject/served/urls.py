"""Which addresses has the page?"""

from __future__ import annotations

from django.urls import path

from testproject.served import views

urlpatterns = [
    path("", views.page, name="page"),
    path("requests", views.requests, name="requests"),
    path("favicon.ico", views.icon),
]
