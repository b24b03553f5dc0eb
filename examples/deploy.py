"""Place what production runs, verified: `deploy.py REGISTRY DESTINATION [ASSET]`."""

from __future__ import annotations

import sys

import gitml

registry = gitml.Registry(registry=sys.argv[1])
asset = sys.argv[3] if len(sys.argv) > 3 else "models/line"
try:
    placed = registry.get(f"{asset}@production", sys.argv[2])
except gitml.GitMLError as error:
    sys.exit(f"{error.message}; try: {error.hint}")
print(f"{placed.ref}: {placed.written} files written, {placed.kept} kept, {placed.removed} removed")
