"""Conditions of `list --where`."""

from __future__ import annotations

from typing import Any

import pytest

from gitml.errors import UsageError
from gitml.model.where import parse_where

FIELDS: dict[str, Any] = {
    "name": "digits",
    "version": "03",
    "size_bytes": 100,
    "created": "2026-11-21T04:30:00Z",
    "stages": ("staging", "production"),
    "labels": {"team": "vision", "a.b": "dotted", "count": "7"},
    "metrics": {"accuracy": 0.981, "loss": 1, "nested.f1": 0.5},
    "params": {"flag": True, "none": None, "deep": {"er": {"x": 3}}},
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("metrics.accuracy>=0.9", True), ("metrics.accuracy > 0.981", False), ("metrics.accuracy>=0.981", True),
        ("metrics.accuracy<1", True), ("metrics.loss<=1.0", True),
        ("metrics.loss=1.0", True), ("metrics.nested.f1=0.5", True), ("name=digits", True), ("name!=digits", False),
        ("name=Digits", False), ('name="digits"', True),
        ("version=03", True), ("version=3", False), ("labels.team=vision", True), ("labels.a.b=dotted", True),
        ("labels.count=7", True), ("labels.count='7'", True),
        ("labels.none=x", False), ("labels.none!=x", True), ("stages=production", True),
        ("stages!=production", False), ("stages=prod", False), ("params.flag=true", True),
        ("params.flag=1", False), ("params.flag!=false", True), ("params.none=null", True),
        ("params.deep.er.x=3", True), ("params.deep.er.x>2", True), ("params.deep=3", False),
        ("created>=2026-01-01", True), ("created<2026-01-01", False), ("name>c", True),
        ("metrics.accuracy>high", False), ("missing>1", False), ("missing<1", False),
        ("params.flag>0", False), ("size_bytes>=1e2", True), ("size_bytes=100", True), ("size_bytes='100'", False),
        ("metrics.accuracy!=x", True),
    ],
)  # fmt: skip
def test_conditions(text: str, holds: bool) -> None:
    assert parse_where(text).holds(FIELDS) is holds


@pytest.mark.parametrize("text", ["metrics.accuracy>=0.9", "name=a b", "a!=", "x<=-1"])
def test_a_condition_is_written_as_it_was_read(text: str) -> None:
    assert parse_where(str(parse_where(text))) == parse_where(text)


@pytest.mark.parametrize("text", ["", "accuracy", "=1", ">", "!x", "<=5", "x" * 2000 + "=1", "\n=1", " =1"])
def test_what_is_no_condition(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_where(text)
    assert caught.value.code == "bad-condition"


@pytest.mark.parametrize(
    "text",
    [
        "a" * 500 + "=" + "b" * 500,
        "a" + " " * 900 + "b",
        "a" + "=" * 900,
        " " * 1000,
        "a" + " " * 500 + "=" + " " * 500,
    ],
)
def test_hostile_conditions_end(text: str) -> None:
    try:
        parse_where(text)
    except UsageError as error:
        assert error.message.isprintable()
