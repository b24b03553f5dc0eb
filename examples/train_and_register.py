"""Train a line through points and register data and model: `train_and_register.py REGISTRY`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import gitml

registry = gitml.Registry(registry=sys.argv[1])
with tempfile.TemporaryDirectory() as folder:
    data, model = Path(folder, "points.csv"), Path(folder, "line.npz")
    data.write_text("".join(f"{x},{2 * x + 1}\n" for x in range(100)))
    registry.register("datasets/points", data, labels={"licence": "CC0"})

    x, y = np.loadtxt(data, delimiter=",", unpack=True)
    slope, intercept = np.polyfit(x, y, 1)
    np.savez(model, slope=slope, intercept=intercept)
    error = float(np.abs(slope * x + intercept - y).max())

    made = registry.register(
        "models/line",
        model,
        metrics={"error": round(error, 6)},
        params={"degree": 1},
        inputs=["training=datasets/points"],
        source=__file__,
    )
print(made.ref, "registered" if made.created else "was there already")
