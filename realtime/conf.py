"""The `REALTIME` setting: every entry with its default, its bounds and a line. A test compares docs/settings.md with it."""

from __future__ import annotations

import functools
from typing import Annotated, Any

import msgspec
from django.conf import settings as django_settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from msgspec import Meta

from realtime import addresses

_WELCOME_BYTES = 1_000_000  # daphne sends frames of up to 1 MiB


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a site may set in its `REALTIME` dictionary."""

    MAX_BYTES: Annotated[int, Meta(ge=256, description="Bytes of one frame from a client. A room may allow less.")] = (
        65536
    )
    MAX_EVENT_BYTES: Annotated[
        int, Meta(ge=256, le=900_000, description="Bytes of one event's data, whoever publishes it.")
    ] = 262_144
    MAX_STATE_BYTES: Annotated[
        int, Meta(ge=256, le=900_000, description="Bytes of a room's state, which comes with every join.")
    ] = 262_144
    MAX_ROOMS: Annotated[int, Meta(ge=1, description="Rooms joined on one connection.")] = 100
    MAX_OCCUPANTS: Annotated[
        int, Meta(ge=0, description="People in a room at once, where the room does not say; 0 is without limit.")
    ] = 0
    MAX_MALFORMED: Annotated[
        int, Meta(ge=1, description="Frames in a row that cannot be understood, after which the connection is closed.")
    ] = 10
    COMMANDS_PER_SECOND: Annotated[
        float, Meta(ge=0, description="Commands a second from one connection, on average; 0 is without limit.")
    ] = 20.0
    COMMANDS_BURST: Annotated[int, Meta(ge=1, description="Commands that a connection may send at once.")] = 60
    PERSON_COMMANDS_PER_SECOND: Annotated[
        float, Meta(ge=0, description="The same of all connections of a person on a process; 0 is without limit.")
    ] = 30.0
    PERSON_COMMANDS_BURST: Annotated[int, Meta(ge=1, description="Commands that a person may send at once.")] = 90
    EPHEMERAL_PER_SECOND: Annotated[
        float, Meta(ge=0, description="Ephemeral commands (typing) a second from one person; 0 is without limit.")
    ] = 10.0
    EPHEMERAL_BURST: Annotated[int, Meta(ge=1, description="Ephemeral commands that a person may send at once.")] = 20
    FLOOD_REFUSALS: Annotated[
        int,
        Meta(
            ge=0,
            description="Times in 10 s that a person may go on before a `retry_after` is over; more is closed (4005); 0: any.",
        ),
    ] = 100
    UNJOINED_SECONDS: Annotated[
        float,
        Meta(ge=0, description="How long a connection may be in no room before it is closed (4004); 0: for ever."),
    ] = 60.0
    CONNECTIONS_PER_PERSON: Annotated[
        int, Meta(ge=0, description="Connections of one person that a process holds; 0 is without limit.")
    ] = 50
    CONNECTIONS_PER_ADDRESS: Annotated[
        int,
        Meta(
            ge=0,
            description="Connections from one address that a process holds, at most half of its files; 0: any number.",
        ),
    ] = 1000
    CONNECTS_PER_SECOND: Annotated[
        float, Meta(ge=0, description="Connections opened a second from one address, on average; 0 is without limit.")
    ] = 20.0
    CONNECTS_BURST: Annotated[
        int, Meta(ge=1, description="Connections that an address may open within two seconds; the next ones wait.")
    ] = 100
    MAX_UNFINISHED_REQUESTS: Annotated[
        int,
        Meta(
            ge=1,
            description="Unfinished requests that a process holds, at most an eighth of its files; beyond, the oldest is cut.",
        ),
    ] = 10_000
    REQUEST_HEADER_SECONDS: Annotated[
        float, Meta(gt=0, description="How long the headers of a request, or of a handshake, may take.")
    ] = 10.0
    TRUSTED_PROXIES: Annotated[
        tuple[str, ...], Meta(description="Networks of the site's own proxies, whose X-Forwarded-For is believed.")
    ] = ()
    MAX_UNANSWERED: Annotated[
        int,
        Meta(ge=1, description="Commands of one connection that wait for their commit; more are not read meanwhile."),
    ] = 64
    MAX_WAITING: Annotated[
        int,
        Meta(ge=1, description="Commands of one process that wait for their commit; more are refused as overloaded."),
    ] = 10_000
    MAX_BATCH: Annotated[int, Meta(ge=1, description="Commands committed in one transaction.")] = 256
    MAX_REPLIES: Annotated[
        int, Meta(ge=8, description="Replies kept for a connection that does not read; past that it is closed (4001).")
    ] = 256
    RECENT_EVENTS: Annotated[
        int, Meta(ge=1, description="Newest events of a room that a process keeps in memory, for those who come back.")
    ] = 256
    RECENT_BYTES: Annotated[int, Meta(ge=1024, description="Bytes of these.")] = 262_144
    PAGE_EVENTS: Annotated[int, Meta(ge=1, le=1000, description="Events read from the log, or sent, at once.")] = 200
    PAGE_BYTES: Annotated[
        int, Meta(ge=1024, le=900_000, description="Bytes of these; below the 1 MiB that daphne can send.")
    ] = 262_144
    KEEP_EVENTS: Annotated[
        int, Meta(ge=0, description="Events that a room keeps, where the room does not say; 0 keeps all.")
    ] = 10_000
    KEEP_DAYS: Annotated[
        int, Meta(ge=0, description="Days that a room keeps an event, where the room does not say; 0 is for ever.")
    ] = 0
    CATCH_UP_SECONDS: Annotated[
        float, Meta(gt=0, description="How often a process asks the log whether the layer lost anything.")
    ] = 1.0
    LAG_SECONDS: Annotated[
        float, Meta(gt=0, description="How long a connection may not read before it is closed (4001).")
    ] = 30.0
    RETURNS_PER_SECOND: Annotated[
        int, Meta(ge=1, description="How many clients a second a process that stops asks to come back elsewhere.")
    ] = 500
    LEASE_SECONDS: Annotated[
        float,
        Meta(ge=1, description="How long after a process has died, at most, those who were on it count as present."),
    ] = 30.0
    PRESENCE_LIST: Annotated[
        int, Meta(ge=0, description="People in a room up to whom the list travels; above, only their number.")
    ] = 100
    PRESENCE_GATHER_SECONDS: Annotated[
        float, Meta(ge=0, description="Joins and leaves within this time go out as one.")
    ] = 0.25
    ACCESS_SECONDS: Annotated[
        float,
        Meta(gt=0, description="How often everyone who is connected is looked at again, for what sends no signal."),
    ] = 60.0
    TICKET_SECONDS: Annotated[float, Meta(gt=0, description="How long a ticket may wait until it is used.")] = 60.0
    SWEEP_SECONDS: Annotated[float, Meta(gt=0, description="How often old events and dead processes are removed.")] = (
        15.0
    )
    FAST_LANES: Annotated[
        bool,
        Meta(description="Write frames straight to the transport where the server allows; false: ASGI `send` only."),
    ] = True
    COMPRESSION: Annotated[
        bool,
        Meta(
            description="Compress frames on uvicorn's lane, which are then written through ASGI `send`; never on daphne."
        ),
    ] = False
    CHANNEL_LAYER: Annotated[str, Meta(description="The alias in CHANNEL_LAYERS that rings the other processes.")] = (
        "default"
    )
    GROUP_RENEW_SECONDS: Annotated[
        float, Meta(gt=0, description="How often group memberships are renewed; below the layer's group_expiry.")
    ] = 3600.0
    POLICY: Annotated[
        str, Meta(description="Import path of the class that decides who may see, join, act and moderate.")
    ] = "realtime.policy.Policy"
    METRICS_TOKEN: Annotated[
        str,
        Meta(
            description="Opens the metrics to `Authorization: Bearer`; empty: to staff, and to all while DEBUG is on."
        ),
    ] = ""
    DISPLAY_NAME: Annotated[
        str, Meta(description="Import path of the function that gives a user's name as others see it.")
    ] = "realtime.auth.display_name"


def load(raw: dict[str, Any]) -> Settings:
    """Return the settings in `raw`, or raise `ImproperlyConfigured` naming the one that is wrong."""
    try:
        settings = msgspec.convert(raw, Settings)
        addresses.networks(settings.TRUSTED_PROXIES)
    except msgspec.ValidationError as error:
        raise ImproperlyConfigured(f"settings.REALTIME: {error}.") from None
    except ValueError as error:
        raise ImproperlyConfigured(f"settings.REALTIME: {error} - at `$.TRUSTED_PROXIES`.") from None
    _check_welcome(settings)
    return settings


def _check_welcome(settings: Settings) -> None:
    """The reply to a join has a state and a page of events, which is a single event where that is larger."""
    size = settings.MAX_STATE_BYTES + max(settings.PAGE_BYTES, settings.MAX_EVENT_BYTES)
    if size > _WELCOME_BYTES:
        raise ImproperlyConfigured(
            "settings.REALTIME: MAX_STATE_BYTES and the larger of PAGE_BYTES and MAX_EVENT_BYTES go into one frame; "
            f"expected at most {_WELCOME_BYTES} together, got {size}."
        )


@functools.cache
def current() -> Settings:
    """Return the site's settings."""
    return load(getattr(django_settings, "REALTIME", {}))


def _forget(*, setting: str, **kwargs: Any) -> None:
    if setting == "REALTIME":
        current.cache_clear()


setting_changed.connect(_forget)
