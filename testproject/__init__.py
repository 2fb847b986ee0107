"""A small site of a GIS office that uses django-gmf-router as a customer would."""
