"""Which addresses have the parcels?"""

from __future__ import annotations

from django.urls import path

from testproject.parcels import tiles, views

urlpatterns = [
    *tiles.urlpatterns,
    path("collections", views.collections, name="collections"),
    path("collections/parcels", views.collection, name="parcels"),
    path("collections/parcels/items", views.Items.as_view(), name="parcel-items"),
    path("collections/parcels/items/<int:pk>", views.Item.as_view(), name="parcel"),
    path("collections/parcels/search", views.search, name="parcel-search"),
    path("print", views.print_map, name="print"),
    path("print/<int:pk>", views.print_job, name="print-job"),
]
