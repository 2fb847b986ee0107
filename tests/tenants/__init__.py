"""Who are the tenants, as django-tenants wants to know?"""
