"""The way of a model: staging, production, the next one, and back."""

from __future__ import annotations

from support.promoting import land, register, runs
from support.team import Member, Team


def test_to_production_and_back(team: Team, bob: Member) -> None:
    ada = team.ada
    first = ada.registry.promote("models/digits", target="staging")
    assert first.created
    assert first.request is not None
    assert first.request.number == 1
    assert [str(move.asset) for move in first.plan.moves] == ["models/digits"]
    assert not first.plan.born
    merged = land(ada, first)
    assert merged.commit is not None
    assert runs(team, "staging") == {"models/digits": "1"}
    assert ada.registry.show("models/digits@staging").asset["version"] == "1"

    second = ada.registry.promote("models/digits", source="staging", target="production")
    assert second.next == ("gitml pr approve 2", "gitml pr merge 2")
    land(ada, second, bob)
    assert runs(team, "production") == {"models/digits": "1"}

    register(ada, "models/digits", "two", inputs=["datasets/digits@1"])
    ada.registry.push()
    land(ada, ada.registry.promote("models/digits@2", target="staging"))
    land(bob, ada.registry.promote("models/digits@2", target="production"), bob)
    assert runs(team, "production") == {"models/digits": "2"}

    back = bob.registry.rollback("models/digits", target="production")
    assert back.summary[0] == "models/digits: 2 -> 1 on production"
    land(bob, back, ada)
    assert runs(team, "production") == {"models/digits": "1"}

    told = bob.registry.history("production")
    assert [(e.kind.value, str(e.from_version), str(e.to_version), e.request) for e in told.entries] == [
        ("rolled-back", "2", "1", 5),
        ("promoted", "1", "2", 4),
        ("promoted", "None", "1", 2),
    ]
    assert not any(entry.time_guessed for entry in told.entries)
    assert told.entries[0].approvers == ("Ada Example <ada@example.com>",)
