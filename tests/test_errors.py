"""Refusals say whether to try again."""

import re
from pathlib import Path

import pytest

from realtime import errors
from realtime.errors import Refusal

EVERY = [
    errors.Malformed("it is not JSON."),
    errors.TooLarge(300, 256),
    errors.UnmatchedTopic("room:nowhere"),
    errors.UnknownRoom("nowhere"),
    errors.UnknownEvent(41),
    errors.UnknownPerson("user:9"),
    errors.Banned("2026-11-21T14:05:00.000Z"),
    errors.Muted("2026-11-21T14:05:00.000Z", 600.0),
    errors.UnknownCommand("shout", ["message", "typing"]),
    errors.Invalid("text: expected a string."),
    errors.LoginRequired(),
    errors.BadCredentials(),
    errors.Forbidden(),
    errors.RoomClosed(),
    errors.RoomFull(),
    errors.TooManyRooms(100),
    errors.RateLimited(2.5),
    errors.TooManyConnections(),
    errors.Flooding(30),
    errors.ShutOut(),
    errors.Overloaded(),
    errors.AccessEnded(),
    errors.Kicked(),
    errors.GoingAway(10),
    errors.Unavailable(),
    errors.StateTooLarge(300, 256),
    errors.Failed(),
]
PAGE = (Path(__file__).parents[1] / "docs" / "protocol.md").read_text()
TABLE = dict(re.findall(r"^\| `(\w+)` \| (yes|no) \|", PAGE, re.MULTILINE))


def test_every_refusal_stands_in_the_protocols_table() -> None:
    assert {refusal.code for refusal in EVERY} == set(TABLE)


def test_no_refusal_is_left_out_here() -> None:
    classes = {value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, Refusal)}
    assert {type(refusal) for refusal in EVERY} == classes - {Refusal, errors.Held}


@pytest.mark.parametrize("refusal", EVERY, ids=lambda refusal: refusal.code)
def test_retry_after_is_there_exactly_when_trying_again_can_help(refusal: Refusal) -> None:
    assert ("retry_after" in refusal.response()) == (TABLE[refusal.code] == "yes")
    assert refusal.final == (TABLE[refusal.code] == "no")


@pytest.mark.parametrize("refusal", EVERY, ids=lambda refusal: refusal.code)
def test_a_refusal_says_a_sentence(refusal: Refusal) -> None:
    assert refusal.response()["message"] == str(refusal)
    assert re.fullmatch(r"[A-Z].*\.", str(refusal)) or refusal.code == "invalid"


def test_an_unmatched_topic_carries_phoenixs_own_reason() -> None:
    assert errors.UnmatchedTopic("room:x").response()["reason"] == "unmatched topic"


@pytest.mark.parametrize("refusal", [errors.UnmatchedTopic("x" * 9999), errors.UnknownRoom("x" * 9999)])
def test_what_a_client_sent_is_not_echoed_at_length(refusal: Refusal) -> None:
    assert len(refusal.message) < 250


def test_an_unknown_kind_lists_those_that_are_known() -> None:
    assert str(errors.UnknownKind("poem", ["counter", "chat"])).endswith("one of: chat, counter.")


@pytest.mark.parametrize(("seconds", "said"), [(0.00001, 0.001), (0.0421, 0.043), (2.5, 2.5), (10, 10.0)])
def test_who_waits_as_long_as_it_says_does_not_come_too_early(seconds: float, said: float) -> None:
    assert errors.RateLimited(seconds).response()["retry_after"] == said
