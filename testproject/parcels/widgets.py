"""How is a shape edited in the admin? On a map that needs no network: Django's own loads OpenLayers from one."""

from __future__ import annotations

from django.contrib.gis.forms.widgets import BaseGeometryWidget


class MapWidget(BaseGeometryWidget):
    """A polygon on the map's own program; what is sent is WKT with its reference system."""

    template_name = "parcels/map_widget.html"
