import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.core.asgi import get_asgi_application
from django.urls import re_path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.peers.channels_chat.settings")
django_asgi_app = get_asgi_application()

from benchmarks.peers.channels_chat import consumers  # noqa: E402 - it imports models, which need the line above

urlpatterns: list[object] = []
websocket_urlpatterns = [
    re_path(r"ws/chat/(?P<room_name>[\w-]+)/$", consumers.ChatConsumer.as_asgi()),
    re_path(r"ws/saved/(?P<room_name>[\w-]+)/$", consumers.SavingConsumer.as_asgi()),
]

application = ProtocolTypeRouter(
    {
        "http": django_asgi_app,
        "websocket": AllowedHostsOriginValidator(AuthMiddlewareStack(URLRouter(websocket_urlpatterns))),
    }
)
