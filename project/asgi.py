"""The ASGI application of the demo site: Django for HTTP, `realtime` for WebSockets."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")
django_application = get_asgi_application()

import realtime.asgi  # noqa: E402 - it imports models, which need the line above

application = ProtocolTypeRouter({"http": django_application, "websocket": realtime.asgi.websocket()})
