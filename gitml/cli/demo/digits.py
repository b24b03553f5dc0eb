"""Handwritten digits: data, training and prediction, with nothing of GitML in it.

The demo commits this file as `train.py` and calls its functions; it runs as a script too:
`python train.py DATA OUT [HIDDEN]`. A model is a list of layers, and a layer is two arrays: what is written to
`weights.npz` are numbers, never objects.

Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository
(1998), as shipped with scikit-learn: 1,797 images of 8 x 8 pixels.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Layer = tuple[Array, Array]

CARD = """# Handwritten digits

Classifies images of 8 x 8 pixels (values 0 to 16) as the digits 0 to 9.
`weights.npz` holds a matrix `w0`, `w1`, ... and a vector `b0`, `b1`, ... for each layer; rectified in between.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """A model and how well it does on images that it was not trained on.

    Attributes:
        predictions: What the trained estimator itself says of the test images.
        confusion: Rows are true digits, columns predicted ones.
    """

    layers: list[Layer]
    predictions: Labels
    accuracy: float
    confusion: Labels
    hidden: int


def write_data(folder: Path) -> int:
    """Write every fifth image to `test.csv`, the others to `train.csv`; returns the number of images."""
    digits = load_digits()
    rows = np.column_stack([digits.target, digits.data]).astype(np.int64)
    testing = np.arange(len(rows)) % 5 == 0
    folder.mkdir(parents=True, exist_ok=True)
    for name, part in (("train.csv", rows[~testing]), ("test.csv", rows[testing])):
        with (folder / name).open("w", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["digit", *(f"pixel_{number}" for number in range(64))])
            writer.writerows(part.tolist())
    return len(rows)


def read_data(path: Path) -> tuple[Array, Labels]:
    """Images, scaled to 0..1, and their digits."""
    rows = np.loadtxt(path, delimiter=",", skiprows=1, dtype=np.int64)
    return rows[:, 1:] / 16.0, rows[:, 0]


def train(data: Path, hidden: int = 0) -> Trained:
    """Train on `train.csv` and judge on `test.csv`.

    Args:
        data: Folder with both files.
        hidden: Units of the hidden layer; 0: there is none.
    """
    images, digits = read_data(data / "train.csv")
    unseen, truth = read_data(data / "test.csv")
    with threadpool_limits(1):  # more threads take longer on matrices as small as these
        if hidden:
            network = MLPClassifier((hidden,), max_iter=1000, random_state=0).fit(images, digits)
            layers = list(zip(network.coefs_, network.intercepts_, strict=True))
            predictions = network.predict(unseen)
        else:
            linear = LogisticRegression(C=0.1, max_iter=1000).fit(images, digits)
            layers = [(linear.coef_.T, linear.intercept_)]
            predictions = linear.predict(unseen)
    return Trained(
        layers=layers,
        predictions=predictions,
        accuracy=round(float(np.mean(predictions == truth)), 4),
        confusion=confusion_matrix(truth, predictions),
        hidden=hidden,
    )


def save(trained: Trained, folder: Path) -> None:
    """Write weights and model card."""
    folder.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {}
    for number, (weights, bias) in enumerate(trained.layers):
        arrays[f"w{number}"], arrays[f"b{number}"] = weights, bias
    np.savez(folder / "weights.npz", **arrays)
    (folder / "README.md").write_text(CARD)


def load(folder: Path) -> list[Layer]:
    """Read weights; objects are refused."""
    with np.load(folder / "weights.npz", allow_pickle=False) as arrays:
        return [(arrays[f"w{number}"], arrays[f"b{number}"]) for number in range(len(arrays.files) // 2)]


def predict(layers: Sequence[Layer], images: Array) -> Labels:
    """The most likely digit for each image."""
    values = images
    for number, (weights, bias) in enumerate(layers):
        values = (np.maximum(values, 0) if number else values) @ weights + bias
    digits: Labels = np.argmax(values, axis=1)
    return digits


def main(words: Sequence[str]) -> None:
    """`DATA OUT [HIDDEN]`."""
    trained = train(Path(words[0]), int(words[2]) if len(words) > 2 else 0)
    save(trained, Path(words[1]))
    print(f"accuracy {trained.accuracy}")


if __name__ == "__main__":
    main(sys.argv[1:])
