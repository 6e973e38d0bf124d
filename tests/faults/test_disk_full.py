"""The disk is full: what cannot be kept is refused, nothing is spoilt, and all goes on when there is room again."""

import asyncio
from collections.abc import Callable
from typing import Any

import psycopg

from tests.faults.stage import Stage, Troupe
from tests.support import ledger
from tests.support.disks import SmallDisk
from tests.support.services import Postgres
from tests.support.sites import EMBEDDED, PUBSUB
from tests.support.waiting import eventually

MEGABYTES = 24

CHECK = """
from django.db import connection
result = connection.cursor().execute("PRAGMA integrity_check").fetchall()
"""


async def tell(set_up: Stage, disk: SmallDisk) -> None:
    """The story: the disk fills while people talk, and is given room again."""
    async with set_up.crowd() as crowd:
        async with crowd.talking(padding=2000):
            await asyncio.to_thread(disk.fill)
            await eventually(lambda: crowd.refusals["unavailable"] > 5, 60, "refusals")
            for regular in crowd.regulars[::5]:
                regular.cut()
            await crowd.joined()  # reading goes on
            await asyncio.sleep(set_up.seconds / 2)
            disk.free()
            await crowd.answered()
        await ledger.audit(set_up.site, crowd)
    assert set(crowd.refusals) == {"unavailable"}


async def test_a_full_disk_under_sqlite_is_a_refusal_and_spoils_nothing(
    stage: Callable[..., Any], troupe: Troupe
) -> None:
    disk = SmallDisk(MEGABYTES)
    with disk, troupe.new_site(EMBEDDED, DATABASE_URL=f"sqlite:///{disk.path}/site.sqlite3") as site:
        set_up = await stage(site=site)
        await tell(set_up, disk)
        assert await asyncio.to_thread(site.console.run, CHECK) == [["ok"]]


async def test_a_full_disk_under_postgres_is_a_refusal_and_spoils_nothing(
    stage: Callable[..., Any], troupe: Troupe, faulty_postgres: Callable[[], Postgres]
) -> None:
    postgres = await asyncio.to_thread(faulty_postgres)
    with SmallDisk(MEGABYTES, postgres.user) as disk:
        url = postgres.create("small")
        with psycopg.connect(url.replace("/small", "/postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk.path}'")
            connection.execute("ALTER DATABASE small SET TABLESPACE small")
        with troupe.new_site(PUBSUB, DATABASE_URL=url) as site:
            await tell(await stage(site=site), disk)
        with psycopg.connect(url.replace("/small", "/postgres"), autocommit=True) as connection:
            connection.execute("DROP DATABASE small WITH (FORCE)")
            connection.execute("DROP TABLESPACE small")
