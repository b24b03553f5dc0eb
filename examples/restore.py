"""Place what a stage ran on a date: `restore.py REGISTRY STAGE DATE DESTINATION`."""

from __future__ import annotations

import sys
from pathlib import Path

import gitml

where, stage, date, destination = sys.argv[1:]
registry = gitml.Registry(registry=where)
for entry in registry.history(stage, at=date).entries:
    if entry.to_version is not None:
        ref = f"{entry.asset}@{entry.to_version}"
        registry.get(ref, Path(destination, str(entry.asset)), rev=entry.commit)
        print(f"{ref}, there since {entry.time:%Y-%m-%dT%H:%M:%SZ}")
