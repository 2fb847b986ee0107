"""gunicorn, on each web server: gunicorn -c gunicorn.conf.py mysite.wsgi"""

import os

bind = os.environ["WEB_BIND"]
workers = int(os.environ["WEB_PROCESSES"])
threads = int(os.environ["WEB_THREADS"])
# Longer than the load balancer in front keeps a connection that nobody uses.
keepalive = 75
