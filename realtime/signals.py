"""What Django says about accounts, sessions and rooms, passed on to the processes that hold open connections.

Each is told after the commit. What sends no signal (`QuerySet.update`, raw SQL, another service) is found by the nodes' own look,
once every `ACCESS_SECONDS`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_logged_out
from django.db import transaction
from django.db.models.signals import m2m_changed, post_delete, post_save
from django.http import HttpRequest

from realtime import bus, log
from realtime.models import ApiKey, Membership, Room
from realtime.rings import Changed


def connect() -> None:
    """Listen. Called once, when the app is ready."""
    user_logged_out.connect(_logged_out, dispatch_uid="realtime")
    user_logged_in.connect(_logged_in, dispatch_uid="realtime")
    for signal in (post_save, post_delete):
        signal.connect(_user_changed, sender=get_user_model(), dispatch_uid="realtime")
        signal.connect(_membership_changed, sender=Membership, dispatch_uid="realtime")
        signal.connect(_key_changed, sender=ApiKey, dispatch_uid="realtime")
    post_save.connect(_room_changed, sender=Room, dispatch_uid="realtime")
    m2m_changed.connect(_key_changed, sender=ApiKey.rooms.through, dispatch_uid="realtime")


def _logged_out(request: HttpRequest | None, **kwargs: Any) -> None:
    """The session's row goes only after this, so its key is told rather than looked at."""
    key = getattr(getattr(request, "session", None), "session_key", None)
    if key:
        _tell(Changed(session=key))


def _logged_in(request: HttpRequest | None, **kwargs: Any) -> None:
    """A login in place of another ends its session, of which Django says nothing: the cookie that came tells which it was."""
    session = getattr(request, "session", None)
    if request is None or session is None:
        return
    key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
    if key and key != session.session_key:
        _tell(Changed(session=key))


def _user_changed(instance: Any, *, created: bool = False, **kwargs: Any) -> None:
    if not created:
        _tell(Changed(user=str(instance.pk)))


def _membership_changed(instance: Membership, **kwargs: Any) -> None:
    _tell(Changed(user=str(instance.user_id)))


def _room_changed(instance: Room, *, created: bool, **kwargs: Any) -> None:
    if not created:
        _tell(Changed(room=instance.pk))


def _key_changed(instance: ApiKey, *, created: bool = False, action: str = "", **kwargs: Any) -> None:
    if not created and not action.startswith("pre_"):
        _tell(Changed(key=instance.pk))


def _tell(changed: Changed) -> None:
    transaction.on_commit(partial(bus.publish, changed), using=log.database(), robust=True)
