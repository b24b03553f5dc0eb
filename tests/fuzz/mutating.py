"""Changes good examples a little, or much; the same seed gives the same."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

MOST_BYTES = 1 << 16


def mutants(seeds: Sequence[bytes], words: Sequence[bytes], seed: str) -> Iterator[bytes]:
    """The seeds, each cut off anywhere, then changed ones without end."""
    yield from seeds
    chance = random.Random(seed)
    for one in seeds:
        for _ in range(10):
            yield one[: chance.randrange(len(one) + 1)]
    while True:
        data = bytearray(chance.choice(seeds))
        for _ in range(chance.choice((1, 1, 2, 4, 16))):
            _change(data, words, seeds, chance)
        yield bytes(data[:MOST_BYTES])


def _change(data: bytearray, words: Sequence[bytes], seeds: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.choice((1, 1, 2, 4, 8, 64)))
    kind = chance.randrange(8)
    if kind == 0 and at < len(data):
        data[at] ^= 1 << chance.randrange(8)
    elif kind == 1 and at < len(data):
        data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFE, 0xFF, chance.randrange(256)))
    elif kind == 2:
        del data[at:end]
    elif kind == 3:
        data[at:at] = chance.randbytes(chance.choice((1, 2, 4, 8)))
    elif kind == 4 and words:
        data[at:end] = chance.choice(words)
    elif kind == 5 and words:
        data[at:at] = chance.choice(words)
    elif kind == 6:
        data[at:at] = data[at:end] * chance.choice((1, 2, 50, 2000))
    else:
        other = chance.choice(seeds)
        start = chance.randrange(len(other) + 1)
        data[at:end] = other[start : start + chance.choice((1, 8, 64))]
