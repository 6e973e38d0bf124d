"""Where the inputs begin: one of each frame, story and request that there is. `make test` tries them as they stand."""

import json
from pathlib import Path

from tests.fuzz.world import KEY, OWN, SESSIONS, SHARED, TICKET
from tests.support import hostile

ROOT = Path(__file__).resolve().parents[1]
LOBBY = f"room:{SHARED}"
DEN = f"room:{OWN}"

SQL = [
    "'; DROP TABLE realtime_event; --",
    '" OR 1=1 --',
    "x') ON CONFLICT DO NOTHING; --",
    "%s %(id)s :1 ? $1",
    "\\'",
    "\u02bc",
]


def frame(*parts: object) -> str:
    return json.dumps(list(parts), ensure_ascii=False)


def join(topic: str = LOBBY, ref: str = "1", **payload: object) -> str:
    return frame(ref, ref, topic, "phx_join", payload)


def vectors() -> list[str]:
    """The frames of the wire's own examples, the server's too: a client may send them back."""
    return [vector["text"] for vector in json.loads((ROOT / "vectors" / "wire.json").read_text())]


FRAMES = [
    *vectors(),
    join(since=2),
    join(ticket=TICKET),
    join("room:visits", "2"),
    join("room:lunch", "3"),
    join(DEN, "4"),
    join("room:nowhere", "5"),
    frame(None, "6", "phoenix", "heartbeat", {}),
    frame("1", "7", LOBBY, "message", {"text": "hello", "key": "k1"}),
    frame("1", "8", LOBBY, "typing", {}),
    frame("1", "9", LOBBY, "room_history", {"before": 4, "limit": 2}),
    frame("1", "10", LOBBY, "room_remove", {"seq": 3}),
    frame("1", "11", LOBBY, "phx_leave", {}),
    frame("2", "12", "room:visits", "add", {"by": -3}),
    frame("3", "13", "room:lunch", "vote", {"choice": 1}),
    frame("4", "14", DEN, "message", {"text": "in here"}),
    frame("4", "15", DEN, "room_remove", {"seq": 2}),
    frame("4", "16", DEN, "room_kick", {"person": "user:2"}),
    frame("4", "17", DEN, "room_ban", {"person": "user:2", "seconds": 60}),
    frame("4", "18", DEN, "room_unban", {"person": "user:2"}),
    frame("4", "19", DEN, "room_mute", {"person": "guest:abcd"}),
    *(frame("1", "20", LOBBY, "message", {"text": text, "key": text.replace(" ", "")}) for text in SQL),
    *(join(f"room:{text}", "6", since=text) for text in SQL),
    "",
    "{}",
    "[]",
    "[" * 200,
    '["\\ud800"]',
    '[1e999,NaN,-0.0,9999999999999999999999,"\\u0000"]',
]
STORIES = [
    [*FRAMES],
    *[[join(), frame("1", "2", LOBBY, "message", {"text": text})] for text in hostile.STRINGS[::9]],
    [join(), frame("1", "2", LOBBY, "message", {"text": "a", "key": "k"})] * 3,
    ["!come", join(ticket=TICKET), "!come", join(ticket=TICKET), frame("1", "2", LOBBY, "message", {"text": "a"})],
    [join(), "!pause", "!say 20", "!wait 10", "!resume", "!pause", "!say 3", "!wait 40"],
    [join(), f"!many 300 {frame('1', '2', LOBBY, 'message', {'text': 'flood'})}", "!wait 1", "!wait 5", "!wait 5"],
    [join(), f"!many 200 {frame('1', '2', LOBBY, 'typing', {})}", "!pause", "!wait 3", "!resume"],
    [f"!many 300 {frame(None, '1', 'phoenix', 'heartbeat', {})}", "!wait 2", "!wait 20"],
    ["!pause", f"!many 300 {frame(None, '1', 'phoenix', 'heartbeat', {})}", "!wait 9", "!wait 9", "!resume"],
    ["!many 12 ?", "!binary", "!come bob", "!many 11 {}"],
    ["!long 70000", "!long 200000", join()],
    [join(DEN), "!close", join(DEN, "2"), "!close", join(DEN, "3", since=1)],
    ["!slow", join(), join(), frame("1", "2", LOBBY, "message", {"text": "a"}), "!work", "!go", "!work", "!slow"],
    ["!slow", join(), "!work", "!say 3", join(since=1), "!pause", "!work", "!resume", "!slow"],
    ["!come alice", join(), "!turn", join(), "!turn", "!go", "!come", join(since=4), "!go"],
]

COOKIE = f"Cookie: sessionid={SESSIONS['alice']}; csrftoken={'c' * 32}\nX-CSRFToken: {'c' * 32}"
ADMIN = COOKIE.replace(SESSIONS["alice"], SESSIONS["admin"])
BEARER = f"Authorization: Bearer {KEY}"
UPGRADE = "Connection: Upgrade\nUpgrade: websocket\nSec-WebSocket-Version: 13"
SOCKET = f"GET /realtime/websocket?vsn=2.0.0\n{UPGRADE}"
FORM = "Content-Type: application/x-www-form-urlencoded"
MULTIPART = (
    'Content-Type: multipart/form-data; boundary=x\n\n--x\nContent-Disposition: form-data; name="title"\n\nx\n--x--'
)
REQUESTS = [
    "GET /",
    f"GET /rooms/{SHARED}/\n{COOKIE}",
    f"GET /rooms/{OWN}/",
    "GET /rooms/nowhere/?a[]=%00&b=%ff",
    "GET /accounts/login/?next=//elsewhere.example/",
    f"POST /accounts/login/\n{COOKIE}\n{FORM}\n\nusername=alice&password=alice&next=/",
    f"POST /accounts/logout/\n{COOKIE}\n\n",
    f"GET /rooms/x'%20OR%20'1'='1/\n{COOKIE.replace('; ', chr(39) + '; ')}",
    "GET /static/realtime/chat.js\nRange: bytes=0-5\nIf-None-Match: x\nAccept-Encoding: gzip",
    "GET /static/%2e%2e/%2e%2e/manage.py",
    "GET /favicon.ico",
    "GET /realtime/health\nHost: elsewhere.example",
    f"GET /realtime/metrics\n{ADMIN}",
    "GET /realtime/metrics\nAuthorization: Bearer x",
    f"POST /realtime/ticket\n{COOKIE}\n\n",
    "POST /realtime/ticket\n\n{}",
    f'POST /realtime/rooms/{SHARED}/message\n{BEARER}\n\n{{"text": "hello", "key": "k"}}',
    f'POST /realtime/rooms/visits/add\n{BEARER}\nContent-Length: 99999999999\n\n{{"by": 1}}',
    f'POST /realtime/rooms/{OWN}/room_remove\n{BEARER}\n\n{{"seq": 2}}',
    "POST /realtime/rooms/nowhere/message\nAuthorization: Bearer rt_key_x\n\n[[[[",
    f"GET /admin/\n{ADMIN}",
    f"GET /admin/realtime/room/?q=%00&o=1.-2&p=x&e=1\n{ADMIN}",
    f"GET /admin/realtime/room/1/change/\n{ADMIN}",
    f"POST /admin/realtime/room/add/\n{ADMIN}\n{FORM}\n\ntitle=x&slug=x&kind=chat&join_access=anyone&act_access=login",
    f"POST /admin/realtime/room/1/change/\n{ADMIN}\n{MULTIPART}",
    f"GET /admin/realtime/event/?room__id__exact=1\n{ADMIN}",
    f"GET /admin/realtime/apikey/add/\n{ADMIN}",
    SOCKET,
    f"{SOCKET}\nOrigin: http://site.example\n{COOKIE}\n\n{join()}",
    f"{SOCKET}\nOrigin: https://elsewhere.example\n{COOKIE}",
    f"{SOCKET}\nOrigin: http://[::1\nHost: site.example:99999",
    f"{SOCKET}\n{BEARER}\n\n{join()}\n{frame('1', '2', LOBBY, 'message', {'text': 'from a backend'})}",
    f"{SOCKET}\nAuthorization: Bearer {TICKET}\n\n{join()}",
    f"{SOCKET}\nSec-WebSocket-Protocol: phoenix, base64url.bearer.phx.cnRfdGlja2V0X2FhYWE\n\n{join()}",
    f"{SOCKET}\nX-Forwarded-For: 203.0.113.9, [2001:db8::1]:80, nonsense\nX-Forwarded-Proto: https",
    f"GET /realtime/websocket?vsn=%ff&vsn=2.0.0&vsn=\n{UPGRADE}",
    f"GET /nowhere\n{UPGRADE}",
    f'{SOCKET}\nCookie: sessionid="\\000"; sessionid={"x" * 3000}',
    *(f'{asked}\nCookie: sessionid="abcdefgh\\000ijk"\n\n' for asked in ("GET /", "POST /realtime/ticket")),
]

SEEDS: dict[str, list[bytes]] = {
    "codec": [
        text.encode() for text in [*FRAMES, *(frame(None, None, text, text, {text: text}) for text in hostile.STRINGS)]
    ],
    "lives": ["\n".join(story).encode() for story in STORIES],
    "web": [request.encode() for request in REQUESTS],
}
"""By target."""
