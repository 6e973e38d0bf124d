"""Serve with `uvicorn benchmarks.peers.socketio_python.app:app`."""

from typing import Any

import socketio

sio = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(sio)


@sio.event
async def join(sid: str, room: str) -> str:
    await sio.enter_room(sid, room)
    return "joined"


@sio.event
async def message(sid: str, data: dict[str, Any]) -> None:
    await sio.emit("message", data["text"], room=data["room"])
