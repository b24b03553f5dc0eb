"""Each command is one call of the Python API with the same name and the same words."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import click
import pytest

from gitml import api
from gitml.cli.app import root
from gitml.cli.commands import CI, PR, STORE, entries, full_names
from gitml.cli.terminal.click_parts import Command, LazyGroup

# Python's words that the shell cannot have, or has already: parameter of the command -> parameter of the method.
RENAMED = {
    "register": {
        "metrics_file": "metrics",
        "params_file": "params",
        "spec_file": "spec",
        "command_line": "command",
    },
    "pull": {"all_": "all"},
    "verify": {"all_": "all"},
    "alias": {"alias_": "alias"},
}
# What only prints differently, or ends with another exit code.
PRINTING = {
    "check": {"markdown"},
    "show": {"raw"},
    "diff": {"exit_code"},
    "status": {"exit_code"},
    "lineage": {"format_"},
}
# Options whose words are two values of one parameter, or a word that Python keeps for itself.
VALUES = {("lineage", "--up"), ("lineage", "--down"), ("store repair", "--from")}
WITHOUT_TWIN = {"completion", "demo"}
COMMANDS = [name for name in full_names() if name not in {"ci", "pr", "store"}]


def command_of(name: str) -> click.Command:
    found: click.Command = root
    for word in name.split():
        assert isinstance(found, LazyGroup)
        inner = found.get_command(click.Context(root), word)
        assert inner is not None
        found = inner
    return found


MODULE_LEVEL = {"init", "doctor", "install", "hook"}
"""Verbs that work where there is no registry yet."""


def method_of(name: str) -> Callable[..., Any]:
    group, _, verb = name.rpartition(" ")
    if name in MODULE_LEVEL:
        found: Callable[..., Any] = getattr(api, name)
        return found
    owner = {"": api.Registry, "pr": api.Requests, "store": api.Stores, "ci": api.Pipelines}[group]
    method: Callable[..., Any] = getattr(owner, verb)
    return method


def own_parameters(name: str) -> Iterator[click.Parameter]:
    for parameter in command_of(name).params:
        if parameter.name not in PRINTING.get(name, set()):
            yield parameter


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WITHOUT_TWIN])
def test_parameters(name: str) -> None:
    signature = inspect.signature(method_of(name))
    renamed = RENAMED.get(name, {})
    ours = {renamed.get(str(parameter.name), str(parameter.name)) for parameter in own_parameters(name)}
    where = {
        "self",
        "path",
        "registry",
        "progress",
    }  # said by -C and -R, which every command takes, or its own
    assert ours == set(signature.parameters) - where


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WITHOUT_TWIN])
def test_words(name: str) -> None:
    words = set(inspect.signature(method_of(name)).parameters)
    for parameter in own_parameters(name):
        if not isinstance(parameter, click.Option):
            continue
        long = next(option for option in parameter.opts if option.startswith("--"))
        word = long.removeprefix("--").replace("-", "_")
        assert (name, long) in VALUES or word in words or f"{word}s" in words, f"{name} {long}"


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in WITHOUT_TWIN])
def test_defaults(name: str) -> None:
    parameters = inspect.signature(method_of(name)).parameters
    renamed = RENAMED.get(name, {})
    for parameter in own_parameters(name):
        twin = parameters[renamed.get(str(parameter.name), str(parameter.name))]
        if isinstance(parameter, click.Option) and parameter.is_flag and isinstance(twin.default, bool):
            assert (parameter.default is True) == twin.default
        required = (
            twin.default is inspect.Parameter.empty and twin.kind is not inspect.Parameter.VAR_POSITIONAL
        )
        assert parameter.required == required or (name, parameter.name) == ("register", "paths")


def test_every_verb_has_a_command() -> None:
    verbs = {name for name in vars(api.Registry) if not name.startswith("_")} - {
        "open",
        "requests",
        "stores",
        "ci",
    }
    assert verbs | MODULE_LEVEL == {name for name in COMMANDS if " " not in name} - WITHOUT_TWIN
    for owner, section in ((api.Requests, PR), (api.Stores, STORE), (api.Pipelines, CI)):
        assert {name for name in vars(owner) if not name.startswith("_")} == {entry.name for entry in section}


def test_what_is_not_built_is_absent() -> None:
    absent = {"run", "exp", "report", "serve", "ui", "import", "export"}
    assert not absent & {word for name in full_names() for word in name.split()}


# They look; or write only what is theirs and goes again, or a folder of their own; or git calls them.
WITHOUT_REHEARSAL = {
    "check", "completion", "demo", "diff", "doctor", "events", "history", "hook", "lineage", "list", "pr list", "pr show",
    "show", "status", "store check", "store du", "store list", "store verify", "verify",
}  # fmt: skip


def test_everything_that_writes_can_be_rehearsed() -> None:
    rehearsed = {name for name in COMMANDS if any("-n" in one.opts for one in command_of(name).params)}
    assert rehearsed == set(COMMANDS) - WITHOUT_REHEARSAL


def test_promote_takes_exactly_these_letters() -> None:
    letters = {parameter.name: parameter.opts for parameter in command_of("promote").params}
    assert letters["source"] == ["-s", "--source"]
    assert letters["target"] == ["-t", "--target"]
    assert letters["repo"] == ["-r", "--repo"]


@pytest.mark.parametrize("name", full_names())
def test_help(name: str) -> None:
    command = command_of(name)
    section = (
        {"ci": CI, "pr": PR, "store": STORE}.get(name.split()[0], ()) if " " in name else entries().values()
    )
    entry = next(one for one in section if one.name == name.split()[-1])
    assert (command.help or "").split("\n\n")[0].replace("\n", " ").strip() == entry.summary
    assert getattr(importlib.import_module(entry.module), entry.attribute) is command
    if isinstance(command, Command):
        assert command.examples
        assert all(f"gitml {name}" in example for example in command.examples)
        arguments = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
        assert len(command.arguments) == len(arguments)
        assert all(option.help for option in command.params if isinstance(option, click.Option))
