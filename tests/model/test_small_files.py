"""About, stage files and events of requests."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitml.errors import InvalidInput
from gitml.model import schemas, strict_yaml
from gitml.model.about import About, Deprecation
from gitml.model.names import Version
from gitml.model.progress import SILENT
from gitml.model.request import EventActor, EventKind, RequestEvent
from gitml.model.stagefile import StageFile

GOLDEN = Path(__file__).parent / "golden"


def test_the_stage_file_is_one_line() -> None:
    golden = (GOLDEN / "stage.yaml").read_bytes()
    assert StageFile(current=Version.parse("3")).format() == golden == b'current: "3"\n'
    assert StageFile.parse(golden, file="f") == StageFile(current=Version.parse("3"))
    assert StageFile(current=Version.parse("v2")).format() == b"current: v2\n"


def test_a_stage_file_keeps_what_it_does_not_know() -> None:
    file = StageFile.parse(b'note: x\ncurrent: "3"\n', file="f")
    assert file.format() == b'current: "3"\nnote: x\n'


@pytest.mark.parametrize(
    "text",
    [
        "current: 3", "current: 1.0", "current:", "current: ''", "current: ../3", "current: [1]", "{}", "x: y", "[]",
        "current: con", 'schema: gitml/stage/v2\ncurrent: "3"', "current: a\ncurrent: b",
    ],
)  # fmt: skip
def test_bad_stage_files(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        StageFile.parse(text.encode(), file="models/digits/production.yaml")
    assert (
        caught.value.message.startswith("models/digits/production.yaml:1: ") or ":2: " in caught.value.message
    )


def test_an_unquoted_current_gets_the_advice() -> None:
    with pytest.raises(InvalidInput) as caught:
        StageFile.parse(b"current: 3\n", file="f")
    assert caught.value.hint == 'put it into quotes: current: "3"'


ABOUT = About(
    description="Reads digits",
    owners=("ada@example.com", "team-vision"),
    aliases={"champion": "2", "zz": "1.0.0-rc.1"},
    deprecated={"1": Deprecation(reason="trained on a leaked test set", replaced_by="2"), "2": Deprecation()},
)


def test_about_never_changes() -> None:
    golden = (GOLDEN / "about.yaml").read_bytes()
    assert ABOUT.format() == golden
    assert About.parse(golden, file="f") == ABOUT
    assert schemas.faults(strict_yaml.load(golden, file="f"), "about") == []


def test_an_empty_about() -> None:
    assert About().format() == b"{}\n"
    assert About.parse(b"{}\n", file="f") == About()


def test_about_keeps_what_it_does_not_know() -> None:
    about = About.parse(b'new: [1]\ndeprecated: {"1": {since: x}}\n', file="f")
    assert about.format() == b'deprecated:\n  "1":\n    since: x\nnew:\n  - 1\n'


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("aliases: {champion: 2}", "aliases.champion"), ("aliases: {Champion: a}", "aliases.Champion"),
        ("aliases: {latest: a}", "aliases.latest"), ("aliases: {x: ../y}", "aliases.x"),
        ("aliases: []", "aliases"), ("owners: ada", "owners"), ("owners: [1]", "owners[0]"),
        ("description: 3", "description"), ('description: "a\\nb"', "description"), ("deprecated: ['1']", "deprecated"),
        ('deprecated: {"1": null}', "deprecated.'1'"), ('deprecated: {"1": {reason: 1}}', "deprecated.'1'.reason"),
        ('deprecated: {"1": {reason: "a\\nb"}}', "deprecated.'1'.reason"),
        ('deprecated: {"1": {reason: "a\\u0000b"}}', "deprecated.'1'.reason"),
        ('deprecated: {"1": {replaced_by: 2}}', "deprecated.'1'.replaced_by"),
        ('deprecated: {"../x": {}}', "deprecated.'../x'"),
        ('deprecated: {"1": {replaced_by: "a b"}}', "deprecated.'1'.replaced_by"),
        ('deprecated: {"1": {replaced_by: "models/x@1:p"}}', "deprecated.'1'.replaced_by"), ("schema: gitml/about/v2", "schema"),
    ],
)  # fmt: skip
def test_bad_abouts(text: str, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        About.parse(text.encode(), file="f")
    assert field in [fault["field"] for fault in caught.value.context["faults"]], caught.value.message


WORDS = st.from_regex(r"x[a-z0-9]{0,5}", fullmatch=True)
NUMBERS = st.integers(0, 999).map(str)
LINES = st.text(max_size=9).filter(lambda text: text.splitlines() in ([], [text]) and "\0" not in text)


@given(
    st.builds(
        About,
        description=st.none() | LINES,
        owners=st.lists(st.text(min_size=1, max_size=5), max_size=3, unique=True).map(
            lambda o: tuple(sorted(o))
        ),
        aliases=st.dictionaries(WORDS, NUMBERS, max_size=3),
        deprecated=st.dictionaries(
            NUMBERS,
            st.builds(Deprecation, reason=st.none() | LINES, replaced_by=st.none() | NUMBERS),
            max_size=3,
        ),
    )
)
def test_parse_reads_what_format_writes(about: About) -> None:
    text = about.format()
    assert About.parse(text, file="f") == about
    assert About.parse(text, file="f").format() == text


EVENT = RequestEvent(
    number=7,
    kind=EventKind.OPENED,
    target="staging",
    base="4f2c884c7d659a2feaa0c55ad015a3bf4f1b2b0b",
    head="9a2feaa0c55ad015a3bf4f1b2b0b4f2c884c7d65",
    refs=("models/digits@3",),
    actor=EventActor(name="Ada Exämple", email="ada@example.com"),
    time=datetime(2026, 11, 21, 4, 30, tzinfo=UTC),
    comment='Promote digits\n\nWhy: "better"',
)


def test_an_event_never_changes() -> None:
    golden = (GOLDEN / "event.json").read_bytes()
    assert EVENT.format() == golden
    assert RequestEvent.parse(golden) == EVENT
    assert schemas.faults(strict_yaml.load_json(golden, file="f"), "request") == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("schema", "gitml/request/v2"), ("schema", None), ("number", 0), ("number", "7"), ("number", True),
        ("number", 1.0), ("kind", "merged2"), ("kind", ""), ("target", ""), ("target", "a b"),
        ("target", "a\nb"), ("base", "HEAD"), ("head", "4f2c"), ("head", "-x"), ("head", "G" * 40), ("refs", "x"),
        ("refs", [1]), ("actor", "Ada"), ("actor", {"name": "Ada"}),
        ("actor", {"name": "", "email": "a"}), ("actor", {"name": "a\nb", "email": "a"}), ("time", "now"),
        ("time", "2026-11-21T04:30:00"), ("time", "2026-02-30T04:30:00Z"), ("comment", 1),
    ],
)  # fmt: skip
def test_bad_events(key: str, value: Any) -> None:
    broken = {**json.loads(EVENT.format()), key: value}
    with pytest.raises(InvalidInput) as caught:
        RequestEvent.parse(json.dumps(broken).encode(), file="event.json")
    assert caught.value.message.startswith("event.json:")


@pytest.mark.parametrize("key", ["schema", "number", "kind", "target", "base", "head", "actor", "time"])
def test_missing_fields_of_an_event(key: str) -> None:
    broken = copy.deepcopy(json.loads(EVENT.format()))
    del broken[key]
    with pytest.raises(InvalidInput):
        RequestEvent.parse(json.dumps(broken).encode())


def test_an_event_keeps_what_it_does_not_know() -> None:
    value = {**json.loads(EVENT.format()), "labels": ["x"]}
    event = RequestEvent.parse(json.dumps(value).encode())
    assert json.loads(event.format()) == value


def test_times_of_events_are_utc() -> None:
    zone = timezone(timedelta(hours=2))
    event = RequestEvent(
        number=1,
        kind=EventKind.CLOSED,
        target="s",
        base="0" * 40,
        head="1" * 64,
        actor=EVENT.actor,
        time=datetime(2026, 1, 1, 1, tzinfo=zone),
    )
    assert b'"2025-12-31T23:00:00Z"' in event.format()
    with pytest.raises(ValueError, match="time zone"):
        RequestEvent(
            number=1,
            kind=EventKind.CLOSED,
            target="s",
            base="0" * 40,
            head="1" * 40,
            actor=EVENT.actor,
            time=datetime(2026, 1, 1),
        )


@given(
    st.text(max_size=40),
    st.datetimes(timezones=st.just(UTC), min_value=datetime(1000, 1, 1)),
    st.sampled_from(EventKind),
)
def test_events_are_read_back(comment: str, time: datetime, kind: EventKind) -> None:
    event = RequestEvent(
        number=2,
        kind=kind,
        target="a/b",
        base="0" * 40,
        head="1" * 40,
        actor=EVENT.actor,
        time=time,
        comment=comment,
    )
    assert RequestEvent.parse(event.format()) == event


def test_a_comment_that_is_no_unicode_or_too_long_is_refused() -> None:
    for comment in ("\ud800", "x" * (1 << 20)):
        with pytest.raises(InvalidInput):
            RequestEvent(
                number=1,
                kind=EventKind.CLOSED,
                target="s",
                base="0" * 40,
                head="1" * 40,
                actor=EVENT.actor,
                time=EVENT.time,
                comment=comment,
            ).format()


def test_silent_progress_takes_everything() -> None:
    SILENT.begin("x", total_bytes=1, total_files=None)
    SILENT.advance(size_bytes=1, files=1, reused_bytes=1)
    SILENT.note("x")
    SILENT.end()
