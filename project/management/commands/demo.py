"""`python manage.py demo`: rooms, people and a server, ready to try."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from project import demo

BANNER = """
  realtime is running at  http://127.0.0.1:{port}/

  Lobby    http://127.0.0.1:{port}/rooms/lobby/    a chat: anyone reads, log in to write
  Visits   http://127.0.0.1:{port}/rooms/visits/   a counter: anyone counts, no login
  Lunch    http://127.0.0.1:{port}/rooms/lunch/    a poll: a kind that this site adds
  Admin    http://127.0.0.1:{port}/admin/          log in as admin

  Log in as alice, bob or admin; the password is the name.
  Open it in two browsers. Stop it with Ctrl-C.
"""


class Command(BaseCommand):
    help = "Make a database with people and rooms, and serve the demo on this machine."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="the port to serve on (default: 8000)")

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        if not settings.DEBUG:
            raise CommandError("The demo has passwords that everybody knows: it runs only with DEBUG on.")
        if not demo.is_free(port):
            raise CommandError(f"Port {port} is taken. Choose another with --port.")
        demo.prepare()
        demo.serve(port, ready=lambda: self.stdout.write(BANNER.format(port=port)))
        self.stdout.write("Stopped.")
