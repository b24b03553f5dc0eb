"""Which commands there are, and where each lives; nothing of them is imported to say so."""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    """One command.

    Attributes:
        name: The word that is typed.
        module: Module that holds it.
        attribute: Name of the click command in that module.
        summary: One line: what it does.
    """

    name: str
    module: str
    attribute: str
    summary: str


SECTIONS: tuple[tuple[str, tuple[Entry, ...]], ...] = (
    (
        "Start",
        (
            Entry("init", "gitml.cli.init", "init", "Make a git repository a registry."),
            Entry(
                "demo",
                "gitml.cli.demonstration",
                "demo",
                "Show the whole path on real data, in a new folder.",
            ),
            Entry(
                "doctor", "gitml.cli.doctor", "doctor", "Judge the installation and this registry's set-up."
            ),
        ),
    ),
    (
        "Register and look",
        (
            Entry("register", "gitml.cli.register", "register", "Make files the next version of an asset."),
            Entry("list", "gitml.cli.list", "list_", "List assets, or the versions of one."),
            Entry("show", "gitml.cli.show", "show", "Show everything the registry says of a version."),
            Entry("diff", "gitml.cli.diff", "diff", "Compare two versions."),
            Entry(
                "lineage",
                "gitml.cli.lineage",
                "lineage",
                "Show what a version was made from, or what uses it.",
            ),
            Entry("alias", "gitml.cli.edit", "alias", "Point a movable name at a version."),
            Entry(
                "deprecate", "gitml.cli.edit", "deprecate", "Mark a version as one that should not be used."
            ),
        ),
    ),
    (
        "Share",
        (
            Entry("get", "gitml.cli.get", "get", "Place the contents of a version in a folder."),
            Entry("pull", "gitml.cli.pull", "pull", "Fetch, fast-forward, and place contents."),
            Entry("push", "gitml.cli.push", "push", "Send bytes to the store, then branches to the remote."),
            Entry("status", "gitml.cli.status", "status", "Show what differs: working files, store, remote."),
            Entry(
                "verify", "gitml.cli.verify", "verify", "Check that every version's bytes are in the store."
            ),
            Entry("store", "gitml.cli.store", "store", "Look after the stores that hold the bytes."),
        ),
    ),
    (
        "Promote",
        (
            Entry("promote", "gitml.cli.promote", "promote", "Ask to move versions to a stage."),
            Entry(
                "pr",
                "gitml.cli.pr",
                "pr",
                "Look at requests to promote; approve, merge, reject or close them.",
            ),
            Entry(
                "rollback",
                "gitml.cli.promote",
                "rollback",
                "Ask to let a stage run an earlier version again.",
            ),
            Entry(
                "history",
                "gitml.cli.history",
                "history",
                "Show who put what on a stage, when, by which request.",
            ),
            Entry(
                "check", "gitml.cli.check", "check", "Judge a change by the rules of the branch it is for."
            ),
            Entry("events", "gitml.cli.check", "events", "Show what happened to assets between two commits."),
        ),
    ),
    (
        "Automate",
        (
            Entry("ci", "gitml.cli.ci", "ci", "Let a build server check requests."),
            Entry("install", "gitml.cli.install", "install", "Set the git hooks that look before a push."),
            Entry(
                "hook", "gitml.cli.install", "hook", "Judge a push as git's hook; `gitml install` sets it."
            ),
        ),
    ),
    (
        "Shell",
        (
            Entry(
                "completion",
                "gitml.cli.completion",
                "completion",
                "Print a script that completes in the shell.",
            ),
        ),
    ),
)

STORE: tuple[Entry, ...] = (
    Entry("list", "gitml.cli.store", "list_", "List the stores that are configured."),
    Entry("check", "gitml.cli.store", "check", "Check what a place guarantees before it is a store."),
    Entry("trust", "gitml.cli.store", "trust", "Accept the present location of a store on this machine."),
    Entry("verify", "gitml.cli.store", "verify", "Check every object of a store."),
    Entry("du", "gitml.cli.store", "du", "Show the bytes that each version takes in a store."),
    Entry("adopt", "gitml.cli.adopt", "adopt", "Copy the data that a version refers to into the store."),
    Entry("forget", "gitml.cli.care", "forget", "Stop keeping a version in a store."),
    Entry("gc", "gitml.cli.care", "gc", "Delete what no version has needed for two weeks."),
    Entry("repack", "gitml.cli.care", "repack", "Merge small packs and leave dead bytes behind."),
    Entry("purge", "gitml.cli.care", "purge", "Remove a version's bytes from a store, at once and for good."),
    Entry(
        "replicate", "gitml.cli.care", "replicate", "Copy every version of a store to another, and heal that."
    ),
    Entry(
        "repair",
        "gitml.cli.care",
        "repair",
        "Restore what a store lost, from whatever still has the bytes.",
    ),
)
CI: tuple[Entry, ...] = (
    Entry("init", "gitml.cli.ci", "init", "Write the pipeline that checks requests to stages."),
)
PR: tuple[Entry, ...] = (
    Entry("list", "gitml.cli.pr", "list_", "List requests."),
    Entry("show", "gitml.cli.pr", "show", "Show a request with its reviews."),
    Entry("approve", "gitml.cli.pr", "approve", "Approve what a request would change now."),
    Entry("reject", "gitml.cli.pr", "reject", "Reject a request, saying why."),
    Entry("merge", "gitml.cli.pr", "merge", "Judge a request and merge it."),
    Entry("close", "gitml.cli.pr", "close", "Close a request without merging it."),
)


def entries() -> dict[str, Entry]:
    """Commands of the first level by name."""
    return {entry.name: entry for _, section in SECTIONS for entry in section}


def full_names() -> list[str]:
    """Every command as it is typed: `register`, `pr approve`, …"""
    groups = {"store": STORE, "pr": PR, "ci": CI}
    return [*entries(), *(f"{group} {entry.name}" for group, found in groups.items() for entry in found)]
