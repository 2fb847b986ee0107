"""Django's settings for databases behind HAProxy: one port for the primary, one for the replicas."""

import os

SITE = {
    "ENGINE": "django_gmf_router.backends.postgresql",
    "NAME": os.environ["SITE_DATABASE"],
    "USER": os.environ["SITE_USER"],
    "PASSWORD": os.environ["SITE_PASSWORD"],
    "HOST": os.environ["DATABASE_HOST"],
    # Which server a connection is on was decided when it was opened: a server that returns gets the new ones.
    "CONN_MAX_AGE": 10,
}
DATABASES = {
    "default": {**SITE, "PORT": os.environ["PRIMARY_PORT"]},
    "replica": {**SITE, "PORT": os.environ["REPLICAS_PORT"], "TEST": {"MIRROR": "default"}},
}
DATABASE_ROUTERS = ["django_gmf_router.routers.PrimaryReplicaRouter"]
GMF_ROUTER = {"default": {"REPLICAS": {"replica": {"BALANCED": True}}}}
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": os.environ["REDIS_URL"]},
}
