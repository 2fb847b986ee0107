"""The URLs of the site that the chaos tests serve."""

from __future__ import annotations

from django.urls import include, path

from tests.chaos import views

urlpatterns = [
    path("page", views.page),
    path("page-async", views.page_async),
    path("me", views.me),
    path("touch", views.touch),
    path("clock", views.clock),
    path("change", views.write),
    path("log-in", views.log_in),
    path("dies/async-iterator", views.async_iterator),
    path("dies/<kind>", views.dies),
    path("write-twice", views.write_twice),
    path("slow-write", views.slow_write),
    path("sleep", views.sleep),
    path("held-up", views.held_up),
    path("monitor", views.monitor),
    path("kill-monitor", views.kill_monitor),
    path("held", views.held),
    path("", include("tests.urls")),
]
