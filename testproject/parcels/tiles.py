"""Which tiles does PostGIS make? django-vectortiles asks it, as it stands; it knows nothing of replicas."""

from __future__ import annotations

from django.urls import path
from django.views.decorators.cache import never_cache
from vectortiles.backends.postgis import VectorLayer
from vectortiles.views import MVTView

from testproject.parcels.models import Parcel, Region


class RegionLayer(VectorLayer):
    """The regions with their names."""

    model = Region
    id = "regions"
    tile_fields = ("code", "name", "country")


class ParcelLayer(VectorLayer):
    """The parcels, where a street is more than a line."""

    model = Parcel
    id = "parcels"
    min_zoom = 12
    tile_fields = ("id", "number", "version")


LAYERS = {layer.id: layer for layer in (RegionLayer, ParcelLayer)}

urlpatterns = [
    path(
        f"tiles/{name}/<int:z>/<int:x>/<int:y>.mvt",
        never_cache(MVTView.as_view(layer_classes=[layer])),
        name=f"{name}-tile",
    )
    for name, layer in LAYERS.items()
]
