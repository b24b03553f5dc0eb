"""Print one file of a version without fetching the rest: `read_one_file.py REGISTRY REF:PATH`."""

from __future__ import annotations

import shutil
import sys

import gitml

with gitml.Registry(registry=sys.argv[1]).open(sys.argv[2]) as stream:
    shutil.copyfileobj(stream, sys.stdout.buffer)
