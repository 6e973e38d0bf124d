"""The tables: columns and constraints, no logic.

Who writes what: `log` writes Event, and the head, tail and state of a Room; `presence` writes Node and Presence; `sanctions`
writes Sanction, and what a Room's row says of them; `slowmode` writes Turn; `tickets` writes Ticket; `apikeys` writes the digest
of an ApiKey and when it was used and revoked; people write the rest of ApiKey and Room, and Membership, in the admin or in the
site's code.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.conf import settings
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

LONGEST_SLOW_SECONDS = 86_400


class Access(models.TextChoices):
    ANYONE = "anyone", _("Anyone")
    LOGGED_IN = "login", _("Logged-in people")
    MEMBERS = "members", _("Members")
    STAFF = "staff", _("Staff")


class Role(models.TextChoices):
    MEMBER = "member", _("Member")
    MODERATOR = "moderator", _("Moderator")


class Room(models.Model):
    """A place that people join. `head` is the seq of its newest event, `tail` that of the newest one that is no longer kept."""

    WRITTEN_ELSEWHERE = frozenset({"head", "tail", "state", "sanctioned", "judged"})

    slug = models.SlugField(
        _("slug"), max_length=100, unique=True, help_text=_("Its name in addresses; it stays as it is.")
    )
    title = models.CharField(_("title"), max_length=200)
    kind = models.CharField(_("kind"), max_length=50, help_text=_("What the room does."))
    join_access = models.CharField(_("who may join"), max_length=10, choices=Access, default=Access.LOGGED_IN)
    act_access = models.CharField(_("who may act"), max_length=10, choices=Access, default=Access.LOGGED_IN)
    closed = models.BooleanField(_("closed"), default=False, help_text=_("Nobody joins or acts in a closed room."))
    keep_events = models.PositiveIntegerField(
        _("events kept"), null=True, blank=True, help_text=_("Empty: as the site's settings say. 0: all.")
    )
    keep_days = models.PositiveIntegerField(
        _("days kept"), null=True, blank=True, help_text=_("Empty: as the site's settings say. 0: for ever.")
    )
    max_bytes = models.PositiveIntegerField(
        _("bytes of a command"),
        null=True,
        blank=True,
        validators=[MinValueValidator(256)],
        help_text=_("Empty: as the site's settings say."),
    )
    commands_per_second = models.FloatField(
        _("commands a second"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.01)],
        help_text=_("Of one person. Empty: no limit of its own."),
    )
    slow_seconds = models.PositiveIntegerField(
        _("slow mode, seconds"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1), MaxValueValidator(LONGEST_SLOW_SECONDS)],
        help_text=_("From one message of a person to the next; moderators need not wait. Empty: no slow mode."),
    )
    max_occupants = models.PositiveIntegerField(
        _("people at once"),
        null=True,
        blank=True,
        help_text=_("Moderators and staff always come in. Empty: as the site's settings say. 0: any number."),
    )
    head = models.PositiveBigIntegerField(_("newest seq"), default=0, editable=False)
    tail = models.PositiveBigIntegerField(_("newest seq not kept"), default=0, editable=False)
    state = models.JSONField(_("state"), default=dict, blank=True, editable=False)
    sanctioned = models.BooleanField(_("has bans or mutes"), default=False, editable=False)
    judged = models.PositiveBigIntegerField(_("changes of bans and mutes"), default=0, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        verbose_name = _("room")
        verbose_name_plural = _("rooms")
        ordering = ("title", "pk")

    def __str__(self) -> str:
        return self.title

    def save(self, *args: Any, update_fields: Iterable[str] | None = None, **kwargs: Any) -> None:
        """Leave alone what others write: a room read a moment ago would set them back."""
        if update_fields is None and not self._state.adding:
            columns = {field.name for field in self._meta.concrete_fields if not field.primary_key}
            update_fields = columns - self.WRITTEN_ELSEWHERE - self.get_deferred_fields()
        super().save(*args, update_fields=update_fields, **kwargs)


class Membership(models.Model):
    """A person's place in a room."""

    room = models.ForeignKey(Room, models.CASCADE, related_name="memberships", verbose_name=_("room"))
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", verbose_name=_("user"))
    role = models.CharField(_("role"), max_length=10, choices=Role, default=Role.MEMBER)

    class Meta:
        verbose_name = _("membership")
        verbose_name_plural = _("memberships")
        constraints = (models.UniqueConstraint(fields=("room", "user"), name="realtime_one_membership"),)

    def __str__(self) -> str:
        return f"{self.user} · {self.room}"


class SanctionKind(models.TextChoices):
    BAN = "ban", _("Ban")
    MUTE = "mute", _("Mute")


class Sanction(models.Model):
    """What somebody may not do in a room until it ends, or, without an end, for good: be there, or act there.

    `person` is the id that others see, so that guests can be held to it, too; `user` is there where it is a user's.
    """

    room = models.ForeignKey(Room, models.CASCADE, related_name="sanctions", db_index=False, verbose_name=_("room"))
    kind = models.CharField(_("kind"), max_length=10, choices=SanctionKind)
    person = models.CharField(_("person's id"), max_length=150)
    name = models.CharField(_("person"), max_length=200)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="+", null=True, blank=True, verbose_name=_("user")
    )
    until = models.DateTimeField(_("until"), null=True, blank=True, db_index=True, help_text=_("Empty: for good."))
    reason = models.CharField(_("reason"), max_length=200, blank=True, help_text=_("For moderators to read."))
    by = models.CharField(_("imposed by, id"), max_length=150, blank=True)
    by_name = models.CharField(_("imposed by"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("since"), auto_now=True)

    class Meta:
        verbose_name = _("ban or mute")
        verbose_name_plural = _("bans and mutes")
        constraints = (
            models.UniqueConstraint(fields=("room", "person", "kind"), name="realtime_one_sanction_of_a_kind"),
        )

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.name} · {self.room_id}"


class Turn(models.Model):
    """When somebody acted last in a room in slow mode."""

    room = models.ForeignKey(Room, models.CASCADE, related_name="+", db_index=False)
    person = models.CharField(max_length=150)
    at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("turn")
        verbose_name_plural = _("turns")
        constraints = (models.UniqueConstraint(fields=("room", "person"), name="realtime_one_turn_per_person"),)

    def __str__(self) -> str:
        return f"{self.person} · {self.room_id}"


class Ticket(models.Model):
    """Lets somebody in once, as the user of a session. Of the ticket itself only the digest is kept."""

    digest = models.CharField(max_length=64, unique=True)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    session_key = models.TextField()
    expires_at = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("ticket")
        verbose_name_plural = _("tickets")

    def __str__(self) -> str:
        return f"{self.user_id} · {self.expires_at}"


class ApiKey(models.Model):
    """A backend's way in. Of the key itself only the digest is kept, and how it begins, to know it by."""

    name = models.CharField(
        _("name"), max_length=200, help_text=_("Who others see at work in the rooms: what this key is for.")
    )
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="+",
        verbose_name=_("owner"),
        help_text=_("The key may do nothing that this user may not, and ends when the account does."),
    )
    rooms = models.ManyToManyField(
        Room, blank=True, related_name="+", verbose_name=_("rooms"), help_text=_("Where it may be. None: nowhere.")
    )
    commands = models.CharField(
        _("commands"),
        max_length=1000,
        blank=True,
        help_text=_("What it may do there: names of commands with spaces between them. None: only read."),
    )
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True, help_text=_("Empty: never."))
    digest = models.CharField(max_length=64, unique=True, editable=False)
    hint = models.CharField(_("begins with"), max_length=20, editable=False)
    created_at = models.DateTimeField(_("made"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, editable=False)

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")
        ordering = ("name", "pk")

    def __str__(self) -> str:
        return self.name


class Event(models.Model):
    """A fact in a room's log. `actor` is empty where the site itself speaks; `key` makes sending again harmless.

    `removal` is the seq of the event that took the data away, where one did.
    """

    room = models.ForeignKey(Room, models.CASCADE, related_name="events", db_index=False, verbose_name=_("room"))
    seq = models.PositiveBigIntegerField(_("seq"))
    name = models.CharField(_("name"), max_length=50)
    data = models.JSONField(_("data"), default=dict)
    actor = models.CharField(_("author's id"), max_length=150, blank=True)
    actor_name = models.CharField(_("author"), max_length=200, blank=True)
    at = models.DateTimeField(_("at"))
    key = models.CharField(_("key"), max_length=64, null=True, blank=True)  # noqa: DJ001 - NULL is outside the constraint
    removal = models.PositiveBigIntegerField(_("removed by"), null=True, blank=True, editable=False)

    class Meta:
        verbose_name = _("event")
        verbose_name_plural = _("events")
        constraints = (
            models.UniqueConstraint(fields=("room", "seq"), name="realtime_one_event_per_seq"),
            models.UniqueConstraint(
                fields=("room", "key", "actor"),
                condition=models.Q(key__isnull=False),
                name="realtime_one_event_per_key",
            ),
        )

    def __str__(self) -> str:
        return f"{self.name} {self.seq}"


class Node(models.Model):
    """A server process, which counts as alive until `lease_until`, by the database's clock."""

    id = models.CharField(primary_key=True, max_length=32)
    started_at = models.DateTimeField()
    lease_until = models.DateTimeField(db_index=True)

    class Meta:
        verbose_name = _("server process")
        verbose_name_plural = _("server processes")

    def __str__(self) -> str:
        return self.id


class Presence(models.Model):
    """One connection's being in a room, on a node. It counts while the node's lease lasts, so nothing enforces the references."""

    node = models.ForeignKey(Node, models.CASCADE, related_name="presences", db_index=False, db_constraint=False)
    connection = models.CharField(max_length=32)
    room = models.ForeignKey(Room, models.CASCADE, related_name="presences", db_constraint=False)
    person = models.CharField(max_length=150)
    name = models.CharField(max_length=200)

    class Meta:
        verbose_name = _("presence")
        verbose_name_plural = _("presences")
        constraints = (
            models.UniqueConstraint(fields=("node", "connection", "room"), name="realtime_one_presence_per_connection"),
        )

    def __str__(self) -> str:
        return f"{self.name} · {self.room_id}"
