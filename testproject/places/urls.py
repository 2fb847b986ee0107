"""Which addresses have the places?"""

from __future__ import annotations

from django.urls import path

from testproject.places import views

urlpatterns = [
    path("places", views.Places.as_view(), name="places"),
    path("places/count", views.count, name="count"),
    path("places/search", views.Search.as_view(), name="search"),
    path("places/<int:pk>", views.place, name="place"),
    path("s/<slug:ref>", views.short_link, name="short-link"),
]
