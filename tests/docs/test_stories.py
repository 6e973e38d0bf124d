"""What the longer pages lead to, tried as their reader would: in a browser, through nginx, over PostgreSQL, from a script."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect
from websockets.exceptions import InvalidStatus

from tests.docs.conftest import Serve, is_healthy
from tests.docs.pages import Block, blocks, page
from tests.docs.reader import PEOPLE_AND_ROOMS, Reader
from tests.support import programs
from tests.support.certificates import Certificate
from tests.support.daemon import HOST, Daemon, free_port
from tests.support.servers import Server
from tests.support.services import Postgres
from tests.support.visitor import Visitor
from tests.support.wsclient import Client

pytestmark = pytest.mark.timeout(180)  # a project is made, migrated and served

Runserver = Callable[[Reader], str]


def block_of(path: str, language: str) -> Block:
    return next(block for block in blocks(page(path)) if block.language == language)


def log_in(window: Page, address: str) -> None:
    window.goto(address)
    window.get_by_label("Username").fill("root")
    window.get_by_label("Password").fill("root")
    window.get_by_role("button", name="Log in").click()


def make_room(reader: Reader, slug: str, kind: str) -> None:
    code = f"from realtime.models import Room; Room.objects.create(slug='{slug}', title='{slug}', kind='{kind}')"
    reader.manage("shell", "-c", code)


def test_the_tutorials_hat_is_drawn_from(reader: Reader, runserver: Runserver, page: Page) -> None:
    reader.follow(tutorial)
    make_room(reader, "chores", "hat")
    log_in(page, f"{runserver(reader)}/rooms/chores/")
    page.get_by_role("button", name="Draw 4").click()
    expect(page.get_by_role("button", name="4: root")).to_be_disabled()
    page.reload()
    expect(page.get_by_role("button", name="4: root")).to_be_disabled()
    expect(page.get_by_role("button", name="Draw 5")).to_be_enabled()


def test_the_auction_of_the_page_about_kinds_is_bid_in(reader: Reader, runserver: Runserver, page: Page) -> None:
    reader.follow(kinds)
    make_room(reader, "vase", "auction")
    log_in(page, f"{runserver(reader)}/rooms/vase/")
    page.get_by_role("button", name="Ten more").click()
    expect(page.get_by_role("status").get_by_text("10")).to_be_visible()
    page.get_by_role("button", name="Ten more").click()
    expect(page.get_by_role("status").get_by_text("20")).to_be_visible()


def test_the_embedding_page_shows_two_live_rooms(reader: Reader, runserver: Runserver, page: Page) -> None:
    reader.follow(embed)
    url = runserver(reader)
    log_in(page, f"{url}/admin/")
    page.goto(f"{url}/dashboard/")
    page.get_by_role("button", name="One more").click()
    expect(page.get_by_label("Value")).to_have_text("1")
    expect(page.get_by_label("Message", exact=True)).to_be_visible()


def test_the_shops_views_publish(reader: Reader) -> None:
    reader.follow(publish)
    code = """
from django.contrib.auth import get_user_model
from django.test import Client
from realtime.models import Room
from shop.models import Order
order = Order.objects.create(customer="carol")
client = Client(headers={"host": "localhost"})
client.force_login(get_user_model().objects.get(username="alice"))
assert client.post(f"/orders/{order.pk}/ship/").status_code == 204
assert client.get("/knock/").status_code == 204
print(*Room.objects.get(slug="lobby").events.order_by("seq").values_list("data__text", "actor_name"), sep="\\n")
"""
    said = reader.manage("shell", "-c", code)
    for line in ("('0 orders wait', '')", "('New order by carol', '')", "'alice')", "('Somebody is at the door', '')"):
        assert line in said


RULES = """
from datetime import timedelta
from django.contrib.auth import get_user_model
from django.contrib.auth.models import AnonymousUser, Group, Permission
from django.utils import timezone
from realtime import auth, policy, rooms
from realtime.kinds import Refusal
from realtime.models import Room

pro = Room.objects.create(slug="pro-tips", title="Tips", kind="chat", join_access="anyone", act_access="anyone")
alice, root = (get_user_model().objects.get(username=name) for name in ("alice", "root"))


def can(user):
    person = auth.person_of(user)
    try:
        policy.check_join(person, pro, None)
    except Refusal as refusal:
        return refusal.code
    return " ".join(policy.can(person, pro, None))


def says(user):
    try:
        return rooms.submit("pro-tips", "message", {"text": "x"}, user=user)
    except Refusal as refusal:
        return refusal.code


plan = Group.objects.create(name="pro")
said = [can(AnonymousUser()), can(alice), says(alice)]
alice.groups.add(plan)
said += [can(alice), says(alice)]
get_user_model().objects.filter(pk=alice.pk).update(date_joined=timezone.now() - timedelta(days=2))
said += [can(alice), says(alice)]
alice.user_permissions.add(Permission.objects.get(codename="change_room"))
said += [can(alice), can(root)]
print(said)
"""


def test_the_rules_of_the_page_about_access_hold(reader: Reader) -> None:
    reader.follow(policy)
    said = reader.manage("shell", "-c", RULES)
    without, new, grown = ["login_required", "forbidden", "forbidden"], ["", "forbidden"], ["act", 1]
    assert str([*without, *new, *grown, "act moderate", "act moderate"]) in said


KEY = """
from django.contrib.auth import get_user_model
from realtime import apikeys
from realtime.models import Room
alice = get_user_model().objects.get(username="alice")
print("key:", apikeys.make("Builds", alice, rooms=Room.objects.all(), commands=["message"]))
"""


def test_the_scripts_watch_and_say_with_a_key_and_a_restart_in_between(reader: Reader, serve: Serve) -> None:
    reader.follow(clients)
    server = serve(reader)
    key = reader.manage("shell", "-c", KEY).partition("key: ")[2].strip()
    reader.env |= {"REALTIME_KEY": key}
    assert say(reader, server, "one") == "kept as 1\n"
    watching = subprocess.Popen(
        [sys.executable, "watch.py", server.ws_url, "lobby"],
        cwd=reader.folder,
        env=reader.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert watching.stdout
        assert watching.stdout.readline() == '1 message {"text": "one"}\n'
        say(reader, server, "two")
        assert watching.stdout.readline() == '2 message {"text": "two"}\n'
        server.stop()
        server.start()
        say(reader, server, "three")
        assert watching.stdout.readline() == '3 message {"text": "three"}\n'
        reader.manage("shell", "-c", "from realtime import rooms; rooms.close('lobby')")
        assert watching.wait(timeout=20) == 1
    finally:
        watching.kill()
        watching.communicate(timeout=10)


def say(reader: Reader, server: Server, text: str) -> str:
    return reader.run(sys.executable, "say.py", server.ws_url, "lobby", text)


def test_a_phone_gets_its_ticket_and_a_backend_says_its_word_as_the_page_types_it(reader: Reader, serve: Serve) -> None:
    reader.follow(clients)
    server = serve(reader)
    phone, backend = (block for block in blocks(clients) if block.language == "sh" and "curl" in block.text)
    reader.env |= {"REALTIME_KEY": reader.manage("shell", "-c", KEY).partition("key: ")[2].strip()}
    typed = (
        phone.text.replace("/accounts/login/", "/admin/login/").replace("=alice", "=root").replace("=secret", "=root")
    )
    ticket = json.loads(type_in(reader, server, typed))["ticket"]
    assert ticket.startswith("rt_ticket_")
    assert json.loads(type_in(reader, server, backend.text)) == {"seq": 1}
    assert json.loads(type_in(reader, server, backend.text)) == {"seq": 1}, "said twice, kept once"


def type_in(reader: Reader, server: Server, lines: str) -> str:
    return reader.run("bash", "-euc", lines.replace("https://your.site", server.url))


APP_TOKEN = """
from django.contrib.auth import get_user_model
from django.core import signing
print("token:", signing.dumps(get_user_model().objects.get(username="alice").pk, salt="app"))
"""


async def test_an_apps_own_login_becomes_a_ticket(reader: Reader, serve: Serve, connect: Callable[..., Any]) -> None:
    reader.follow(clients)
    server = serve(reader)
    bearer = f"Bearer {reader.manage('shell', '-c', APP_TOKEN).partition('token: ')[2].strip()}"
    ask = f"curl -sS -X POST {server.url}/app/ticket -H 'Authorization: {{}}'"
    assert json.loads(reader.run("bash", "-euc", ask.format("Bearer x")))["code"] == "login_required"
    ticket = json.loads(reader.run("bash", "-euc", ask.format(bearer)))["ticket"]
    phone: Client = await connect(server.url, origin="", headers={"Authorization": f"Bearer {ticket}"})
    assert (await phone.join("lobby")).response["you"]["name"] == "alice"


def test_the_page_about_postgresql_leads_to_a_working_site(
    newcomer: Reader, tmp_path: Path, postgres: Callable[[], Postgres]
) -> None:
    address = urlsplit(postgres().create("mysite"))
    reader = newcomer.copy(tmp_path / "mysite", PGHOST=HOST, PGPORT=str(address.port), PGUSER="realtime")
    reader.follow(postgresql)
    reader.manage("shell", "-c", PEOPLE_AND_ROOMS)
    reader.manage(
        "shell", "-c", "from realtime import rooms; assert rooms.publish('lobby', 'message', {'text': 'x'}) == 1"
    )


def test_the_page_about_processes_leaves_nothing_to_warn_of(newcomer: Reader, reader: Reader) -> None:
    assert "realtime.W002" in newcomer.manage("check", "--deploy", "--tag", "realtime")
    reader.follow(processes)
    assert "realtime.W" not in reader.manage("check", "--deploy", "--tag", "realtime")


def test_hashed_modules_import_hashed_modules(reader: Reader) -> None:
    reader.follow(deploy)
    collected = reader.folder / "static-root"
    names = json.loads((collected / "staticfiles.json").read_text())["paths"]
    boot = (collected / names["realtime/page-boot.js"]).read_text()
    assert f'"./{Path(names["realtime/socket.js"]).name}"' in boot


async def test_nginx_and_uvicorn_serve_the_site_as_deployed(
    reader: Reader, serve: Serve, tmp_path: Path, connect: Callable[..., Any]
) -> None:
    program = programs.need(programs.NGINX)
    reader.follow(deploy)
    server = serve(reader, "uvicorn", *uvicorn_options())
    certificate = Certificate(tmp_path)
    trust = certificate.trust
    url = f"https://{HOST}:{free_port()}"
    nginx = start_nginx(program, tmp_path, certificate, listen=urlsplit(url).port, upstream=server.port)
    try:
        visitor = Visitor(url, trust=trust)
        assert visitor.get("/realtime/health").status == 200
        assert visitor.get("/realtime/metrics").status == 403
        visitor.login("root", path="/admin/login/?next=/rooms/lobby/")
        assert all(cookie.secure for cookie in visitor.cookies)
        client: Client = await connect(url, cookie=visitor.cookie, trust=trust)
        assert (await client.join("lobby")).ok
        assert (await client.push("lobby", "message", text="through nginx")).ok
        await client.event("message", "lobby")
        for origin in ("https://elsewhere.example", url.replace("https", "http")):
            with pytest.raises(InvalidStatus):
                await connect(url, cookie=visitor.cookie, origin=origin, trust=trust)
        echo: Client = await connect(url, path="/echo", trust=trust)
        await echo.send(["1", "2", "a", "b", {}])
        assert (await echo.event("b")).topic == "a"
    finally:
        nginx.stop()


def uvicorn_options() -> list[str]:
    """The options of the page, but for the address."""
    words = block_of("docs/howto/deploy.md", "sh").text.replace("\\\n", " ").split()
    return words[words.index("--ws") :]


def start_nginx(program: str, folder: Path, certificate: Certificate, listen: int | None, upstream: int) -> Daemon:
    text = block_of("docs/howto/deploy.md", "nginx").text
    text = text.replace("listen 443 ssl;", f"listen {HOST}:{listen} ssl;").replace(
        "127.0.0.1:8001", f"{HOST}:{upstream}"
    )
    text = text.replace("/etc/ssl/mysite.pem", str(certificate.file)).replace(
        "/etc/ssl/mysite.key", str(certificate.key_file)
    )
    paths = "".join(f"{name}_temp_path {folder}; " for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    file = folder / "nginx.conf"
    file.write_text(f"pid {folder}/nginx.pid; events {{}} http {{ access_log off; {paths}\n{text}}}")
    nginx = Daemon(
        "nginx",
        [program, "-p", str(folder), "-e", str(folder / "nginx-error.log"), "-c", str(file), "-g", "daemon off;"],
        log_file=folder / "nginx.log",
        ready=lambda: is_healthy(f"https://{HOST}:{listen}", certificate.trust),
    )
    nginx.start()
    return nginx


tutorial, kinds = page("docs/tutorial.md"), page("docs/kinds.md")
embed, publish, policy, clients, postgresql, processes, deploy = (
    page(f"docs/howto/{name}.md")
    for name in ("embed", "publish", "policy", "clients", "postgresql", "processes", "deploy")
)
