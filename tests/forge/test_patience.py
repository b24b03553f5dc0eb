"""What is tried again, what is looked up, and what is told of calls that fail."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate

import pytest
from support.forges import Watch

from gitml.errors import AccessDenied, Conflict, InvalidInput, NotFound, OutcomeUnknown, StoreUnavailable
from gitml.forge.patience import Failed, Patience, Words

WORDS = Words(forge="Forge (example.com)", rights="to write", token="set IT")


def patience(watch: Watch, total_s: float = 60.0) -> Patience:
    return Patience(
        WORDS, secret="canary-secret", total_s=total_s, sleep=watch.sleep, clock=watch.clock, wall=watch.clock
    )


def script(*steps: Failed | str) -> Callable[[], str]:
    """Attempts that fail or answer in turn."""
    left = list(steps)

    def attempt() -> str:
        step = left.pop(0)
        if isinstance(step, Failed):
            raise step
        return step

    return attempt


def test_a_read_is_repeated_until_it_answers() -> None:
    watch = Watch()
    broken = [Failed(None, "cut"), Failed(502, "bad"), Failed(429, "slow down", {"Retry-After": "7"})]
    assert patience(watch).read("x", script(*broken, "done")) == "done"
    assert len(watch.slept) == 3 and watch.slept[2] == 7


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"Retry-After": "20"}, 20, 20),
        ({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1800000030"}, 30, 32),
        ({"Retry-After": formatdate(1_800_000_040, usegmt=True)}, 39, 41),
        ({"Retry-After": "soon"}, 0, 1),
        ({}, 0, 1),
    ],
)
def test_a_limit_says_when(headers: dict[str, str], least: float, most: float) -> None:
    watch = Watch()
    limited = Failed(403, "API rate limit exceeded", headers)
    assert patience(watch).read("x", script(limited, "done")) == "done"
    assert least <= watch.slept[0] <= most


def test_a_limit_beyond_the_patience_is_told_without_waiting() -> None:
    watch = Watch()
    with pytest.raises(StoreUnavailable) as caught:
        patience(watch).read("x", script(Failed(429, "", {"Retry-After": "3600"})))
    assert caught.value.code == "forge-rate-limit" and watch.slept == []
    assert caught.value.context["seconds"] == 3600


def test_an_outage_ends_with_the_patience() -> None:
    watch = Watch()
    with pytest.raises(StoreUnavailable) as caught:
        patience(watch, total_s=1.0).read("x", script(*[Failed(503, "down")] * 99))
    assert "503" in caught.value.message and sum(watch.slept) <= 1.0


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AccessDenied),
        (403, AccessDenied),
        (404, NotFound),
        (409, Conflict),
        (422, InvalidInput),
        (418, InvalidInput),
    ],
)
def test_a_refusal_is_explained(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind) as caught:
        patience(Watch()).read("request 3 could not be read", script(Failed(status, "because")))
    message, hint = str(caught.value), str(getattr(caught.value, "hint"))  # noqa: B009
    assert (
        message.startswith("request 3 could not be read: Forge (example.com) said") and "because" in message
    )
    assert hint
    if status == 403:
        assert "to write" in hint
    if status == 401:
        assert "set IT" in hint


def test_what_a_write_did_is_found() -> None:
    assert patience(Watch()).write("x", script(Failed(None, "cut")), lambda: "found") == "found"
    found = iter([None, "made"])
    assert (
        patience(Watch()).write("x", script(Failed(502, ""), Failed(502, "")), lambda: next(found)) == "made"
    )


def test_a_write_that_did_nothing_is_repeated() -> None:
    assert patience(Watch()).write("x", script(Failed(None, "cut"), "made"), lambda: None) == "made"


def test_a_write_that_was_never_sent_or_only_limited_is_not_looked_up() -> None:
    def look() -> str:
        raise AssertionError("nothing to look for")

    unsent = Failed(None, "no connection", sent=False)
    limited = Failed(403, "rate limit", {"Retry-After": "1"})
    assert patience(Watch()).write("x", script(unsent, limited, "made"), look) == "made"


def test_nobody_knows() -> None:
    def look() -> str:
        raise StoreUnavailable("down")

    with pytest.raises(OutcomeUnknown) as caught:
        patience(Watch()).write("x", script(Failed(None, "cut")), look)
    assert caught.value.exit_code == 8 and caught.value.hint


def test_what_is_said_is_one_line_without_secrets() -> None:
    said = "no\x1b[31m\nfor canary-secret and ghp_" + "a" * 36 + " " + "x" * 270 + "canary-secret"
    with pytest.raises(InvalidInput) as caught:
        patience(Watch()).read("x", script(Failed(422, said)))
    message = caught.value.message
    assert "canary-secret" not in message and "ghp_" not in message and "\x1b" not in message
    assert len(message) < 500
