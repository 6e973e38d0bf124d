"""The demo's application behind a `send` that is anybody's: no server can be told from it, so frames go through ASGI."""

from typing import Any

from project import asgi

site: Any = asgi.application


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Serve as the site does."""

    async def plain(message: Any) -> None:
        await send(message)

    await site(scope, receive, plain)
