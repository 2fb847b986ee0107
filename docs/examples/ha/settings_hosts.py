"""Django's settings without HAProxy: libpq tries all nodes, and takes one in the role that the alias asks for."""

import os

SITE = {
    "ENGINE": "django_gmf_router.backends.postgresql",
    "NAME": os.environ["SITE_DATABASE"],
    "USER": os.environ["SITE_USER"],
    "PASSWORD": os.environ["SITE_PASSWORD"],
    "HOST": os.environ["DATABASE_HOST"],
    "PORT": os.environ["DATABASE_PORT"],
    "CONN_MAX_AGE": 10,
}
DATABASES = {
    "default": {**SITE, "OPTIONS": {"target_session_attrs": "read-write"}},
    "replica": {
        **SITE,
        # Not "prefer-standby": when there is none, the reads go to `default` by themselves.
        "OPTIONS": {"target_session_attrs": "standby"},
        "TEST": {"MIRROR": "default"},
    },
}
DATABASE_ROUTERS = ["django_gmf_router.routers.PrimaryReplicaRouter"]
GMF_ROUTER = {"default": {"REPLICAS": {"replica": {"BALANCED": True}}}}
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": os.environ["REDIS_URL"]},
}
