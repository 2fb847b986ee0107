"""Which addresses have the tiles?"""

from __future__ import annotations

from django.urls import path

from testproject.tiles import views

urlpatterns = [
    path("tiles/places/<int:z>/<int:x>/<int:y>.mvt", views.places, name="places-tile"),
    path("tiles/regions.json", views.background, name="background"),
]
