"""The statements of an append and of entering, written out: the ORM would compile each anew, at several times its cost.

They are built from the models' own columns and Django's own converters, for any database that Django knows, and kept by shape.
PostgreSQL is handed a batch as one value, JSON or an array: neither its parser nor its driver has to read a value at a time.
Everything else in this package goes through the ORM. No value is ever part of a statement's text.
"""

# ruff: noqa: S608 - what is put together is names of columns and placeholders

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from django.conf import settings
from django.db import connections, models
from django.db.models.constants import OnConflict
from django.utils import timezone

from realtime.models import Event, Presence, Room

_ROWS_AT_ONCE = 64
_PRESENCES_AT_ONCE = 180  # SQLite takes 999 values in a statement where it was built with little
_KEPT = 256  # shapes of each: a busy process would go through tens of thousands


class NewEvent(NamedTuple):
    """A row to be inserted. `data` is JSON text."""

    room_pk: int
    seq: int
    name: str
    data: str
    actor: str
    actor_name: str
    at: datetime
    key: str | None


class NewHead(NamedTuple):
    """What is to be written to a room. `state` is JSON text."""

    head: int
    tail: int
    state: str
    room_pk: int


class NewPresence(NamedTuple):
    """A row to be inserted, unless it is there."""

    node: str
    connection: str
    room_pk: int
    person: str
    name: str


_PRESENCE_FIELDS = ("node", "connection", "room", "person", "name")
_EVENT_FIELDS = ("room", "seq", "name", "data", "actor", "actor_name", "at", "key")
_HEAD_FIELDS = ("head", "tail", "state", "id")
_AT = NewEvent._fields.index("at")


def storable_at(at: datetime) -> datetime:
    """Return a moment in the form in which Django stores it: naive, in local time, where USE_TZ is off."""
    return at if settings.USE_TZ else timezone.make_naive(at)


def lock_rooms(alias: str, pks: Iterable[int]) -> dict[int, Room]:
    """Return the rooms, locked where the database locks rows, in pk order."""
    wanted = sorted(pks)
    if not wanted:
        return {}
    connection, converters = connections[alias], _converters(alias)
    names = [field.attname for field in _read_of_rooms()]
    found: dict[int, Room] = {}
    with connection.cursor() as cursor:
        cursor.execute(_select_rooms(alias, len(wanted)), _listed(alias, wanted))
        for row in cursor.fetchall():
            values = list(row)
            for index, column, converts in converters:
                for convert in converts:
                    values[index] = convert(values[index], column, connection)
            room = Room.from_db(alias, names, values)
            found[room.pk] = room
    return found


def seqs_by_key(alias: str, room_pks: Iterable[int], keys: Iterable[str]) -> dict[tuple[int, str, str], int]:
    """Return the seqs of the events with these keys, by (room pk, actor, key)."""
    rooms, wanted = sorted(room_pks), sorted(keys)
    if not wanted:
        return {}
    with connections[alias].cursor() as cursor:
        values = [*_listed(alias, rooms), *_listed(alias, wanted)]
        cursor.execute(_select_keys(alias, len(rooms), len(wanted)), values)
        return {(room, actor, key): seq for room, actor, key, seq in cursor.fetchall()}


def insert_events(alias: str, rows: Sequence[NewEvent]) -> None:
    connection = connections[alias]
    stored = {at: storable_at(at) for at in {row.at for row in rows}}
    if _takes_json(alias):
        fresh = [row._replace(at=stored[row.at], data=msgspec.Raw(row.data)) for row in rows]  # type: ignore[arg-type]
        _write_json(alias, _insert_json(alias, Event, _EVENT_FIELDS, ""), Event, _EVENT_FIELDS, fresh)
        return
    adapted = {at: connection.ops.adapt_datetimefield_value(moment) for at, moment in stored.items()}
    with connection.cursor() as cursor:
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[start : start + _ROWS_AT_ONCE]
            values = [value for row in some for value in (*row[:_AT], adapted[row.at], *row[_AT + 1 :])]
            cursor.execute(_insert(alias, len(some)), values)


def insert_presences(alias: str, rows: Sequence[NewPresence]) -> None:
    """Insert those that are not there yet."""
    if _takes_json(alias):
        suffix = _unless_there(alias)
        _write_json(alias, _insert_json(alias, Presence, _PRESENCE_FIELDS, suffix), Presence, _PRESENCE_FIELDS, rows)
        return
    with connections[alias].cursor() as cursor:
        for start in range(0, len(rows), _PRESENCES_AT_ONCE):
            some = rows[start : start + _PRESENCES_AT_ONCE]
            cursor.execute(_insert_new(alias, len(some)), [value for row in some for value in row])


def update_rooms(alias: str, rows: Sequence[NewHead]) -> None:
    """Write the rooms' heads, in one round trip where the database can."""
    if _takes_json(alias):
        fresh = [row._replace(state=msgspec.Raw(row.state)) for row in rows]  # type: ignore[arg-type]
        _write_json(alias, _update_json(alias), Room, _HEAD_FIELDS, fresh)
        return
    with connections[alias].cursor() as cursor:
        if len(rows) == 1:
            cursor.execute(_update(alias), rows[0])
        else:
            cursor.executemany(_update(alias), rows)


# Any database


@functools.cache
def _read_of_rooms() -> list[Any]:
    """Return the fields that an append, or a policy, may look at. A moment costs more to read than all of the others."""
    return [field for field in Room._meta.concrete_fields if field.name != "created_at"]


@functools.lru_cache(maxsize=_KEPT)
def _select_rooms(alias: str, count: int) -> str:
    connection = connections[alias]
    columns = ", ".join(_columns(alias, Room, [field.name for field in _read_of_rooms()]))
    (pk,) = _columns(alias, Room, ["id"])
    lock = f" {connection.ops.for_update_sql()}" if connection.features.has_select_for_update else ""
    return f"SELECT {columns} FROM {_table(alias, Room)} WHERE {_among(alias, pk, count)} ORDER BY {pk}{lock}"


@functools.lru_cache(maxsize=_KEPT)
def _select_keys(alias: str, rooms: int, keys: int) -> str:
    room, actor, key, seq = _columns(alias, Event, ["room", "actor", "key", "seq"])
    wanted = f"{_among(alias, room, rooms)} AND {_among(alias, key, keys)}"
    return f"SELECT {room}, {actor}, {key}, {seq} FROM {_table(alias, Event)} WHERE {wanted}"


@functools.lru_cache(maxsize=_KEPT)
def _insert(alias: str, count: int) -> str:
    columns = ", ".join(_columns(alias, Event, _EVENT_FIELDS))
    values = ", ".join([f"({_places(len(_EVENT_FIELDS))})"] * count)
    return f"INSERT INTO {_table(alias, Event)} ({columns}) VALUES {values}"


@functools.lru_cache(maxsize=_KEPT)
def _insert_new(alias: str, count: int) -> str:
    columns = ", ".join(_columns(alias, Presence, _PRESENCE_FIELDS))
    values = ", ".join([f"({_places(len(_PRESENCE_FIELDS))})"] * count)
    into = connections[alias].ops.insert_statement(on_conflict=OnConflict.IGNORE)
    return f"{into} {_table(alias, Presence)} ({columns}) VALUES {values} {_unless_there(alias)}"


@functools.cache
def _update(alias: str) -> str:
    head, tail, state, pk = _columns(alias, Room, _HEAD_FIELDS)
    return f"UPDATE {_table(alias, Room)} SET {head} = %s, {tail} = %s, {state} = %s WHERE {pk} = %s"


@functools.cache
def _converters(alias: str) -> list[tuple[int, Any, list[Any]]]:
    """Return, by column, what Django does one after the other to a value of a room that comes from the database."""
    connection = connections[alias]
    found = []
    for index, field in enumerate(_read_of_rooms()):
        column: Any = field.get_col(Room._meta.db_table)
        each = connection.ops.get_db_converters(column) + column.get_db_converters(connection)
        if each:
            found.append((index, column, each))
    return found


def _unless_there(alias: str) -> str:
    suffix: str = connections[alias].ops.on_conflict_suffix_sql([], OnConflict.IGNORE, [], [])
    return suffix


# PostgreSQL


@functools.cache
def _takes_json(alias: str) -> bool:
    return connections[alias].vendor == "postgresql"


def _write_json(
    alias: str, statement: str, model: type[models.Model], names: Sequence[str], rows: Sequence[tuple[Any, ...]]
) -> None:
    if rows:
        columns = [field.column for field in _fields(model, names)]
        records = msgspec.json.encode([dict(zip(columns, row, strict=True)) for row in rows])
        with connections[alias].cursor() as cursor:
            cursor.execute(statement, [records.decode()])


@functools.cache
def _insert_json(alias: str, model: type[models.Model], names: Sequence[str], suffix: str) -> str:
    columns = ", ".join(_columns(alias, model, names))
    return (
        f"INSERT INTO {_table(alias, model)} ({columns}) SELECT {columns} FROM {_fresh(alias, model, names)} {suffix}"
    )


@functools.cache
def _update_json(alias: str) -> str:
    *changed, pk = _columns(alias, Room, _HEAD_FIELDS)
    table = _table(alias, Room)
    news = ", ".join(f"{column} = fresh.{column}" for column in changed)
    return f"UPDATE {table} SET {news} FROM {_fresh(alias, Room, _HEAD_FIELDS)} WHERE {table}.{pk} = fresh.{pk}"


def _fresh(alias: str, model: type[models.Model], names: Sequence[str]) -> str:
    """Return rows that come as a list of objects, with the columns' own types."""
    types = [
        field.rel_db_type(connections[alias]) if field.primary_key else field.db_type(connections[alias])
        for field in _fields(model, names)
    ]
    columns = ", ".join(f"{column} {kind}" for column, kind in zip(_columns(alias, model, names), types, strict=True))
    return f"json_to_recordset(%s) AS fresh({columns})"


# What they are made of


def _table(alias: str, model: type[models.Model]) -> str:
    return connections[alias].ops.quote_name(model._meta.db_table)


def _columns(alias: str, model: type[models.Model], names: Iterable[str]) -> list[str]:
    quote = connections[alias].ops.quote_name
    return [quote(field.column) for field in _fields(model, names)]


def _fields(model: type[models.Model], names: Iterable[str]) -> list[Any]:
    return [model._meta.get_field(name) for name in names]


def _among(alias: str, column: str, count: int) -> str:
    """Return the condition that a column is one of so many values."""
    return f"{column} = ANY(%s)" if _takes_json(alias) else f"{column} IN ({_places(count)})"


def _listed(alias: str, values: list[Any]) -> list[Any]:
    """Return the parameters of `_among`."""
    return [values] if _takes_json(alias) else values


def _places(count: int) -> str:
    return ", ".join(["%s"] * count)
