"""Did you mean: the nearest command or option to one that does not exist."""

from __future__ import annotations

from collections.abc import Collection, Mapping

# Words of other tools, and well-known slips; each is offered only where its command exists.
_COMMANDS: Mapping[str, str] = {
    "add": "register",
    "approve": "pr approve",
    "cat": "show",
    "checkout": "get",
    "clone": "pull",
    "commit": "register",
    "deploy": "promote",
    "describe": "show",
    "download": "get",
    "du": "store du",
    "fetch": "pull",
    "fsck": "verify",
    "help": "--help",
    "info": "show",
    "log": "history",
    "ls": "list",
    "merge": "pr merge",
    "mr": "pr",
    "publish": "register",
    "reject": "pr reject",
    "release": "promote",
    "remote": "store list",
    "repo": "repro",
    "request": "pr",
    "requests": "pr",
    "revert": "rollback",
    "save": "register",
    "stores": "store list",
    "tag": "alias",
    "tree": "lineage",
    "trust": "store trust",
    "upload": "register",
    "version": "--version",
}
# What `gh` calls the flags of `promote`, and other tools those of the rest.
_OPTIONS: Mapping[str, str] = {
    "--base": "--target",
    "--dest": "--output",
    "--from": "--source",
    "--head": "--source",
    "--out": "--output",
    "--overwrite": "--force",
    "--revision": "--rev",
    "--stage": "--target",
    "--tag": "--label",
    "--to-stage": "--target",
}


def nearest_command(word: str, commands: Collection[str], *, everywhere: Collection[str] = ()) -> str | None:
    """The command that was probably meant.

    Args:
        word: What was typed.
        commands: Names at this place.
        everywhere: Full names, such as `pr approve`, that another tool's word may stand for.
    """
    meant = _COMMANDS.get(word.lower())
    if meant is not None and (meant.startswith("-") or meant in everywhere):
        return meant
    return _nearest(word.lower(), commands)


def nearest_option(word: str, options: Collection[str]) -> str | None:
    """The option that was probably meant."""
    meant = _OPTIONS.get(word)
    if meant in options:
        return meant
    long = [option for option in options if option.startswith("--")]
    # A prefix is the surest sign: --desc for --description.
    started = [option for option in long if option.startswith(word)] if len(word) > 3 else []
    return started[0] if len(started) == 1 else _nearest(word, long)


def _nearest(word: str, words: Collection[str]) -> str | None:
    from difflib import get_close_matches

    return next(iter(get_close_matches(word, sorted(words), n=1, cutoff=0.6)), None)
