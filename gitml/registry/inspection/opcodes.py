"""What a pickle would import when it is loaded, read off its opcodes; nothing is ever loaded.

Follows the stack and the memo as far as texts go, which is how the names of `STACK_GLOBAL` come about. Payloads are
skipped, not read.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, BinaryIO, Final, cast

MAX_BYTES: Final = 16 << 20  # read, payloads that are skipped aside
MAX_OPCODES: Final = 500_000
_MAX_PICKLES: Final = 64  # PyTorch's old format is five pickles in a row
_PAYLOAD_BYTES: Final = 64 << 10
_LINE_BYTES: Final = 64 << 10
UNKNOWN: Final = "?"
_MARK: Final = object()
_GETS: Final = frozenset({"GET", "BINGET", "LONG_BINGET"})
_PUTS: Final = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})


@dataclass(frozen=True, slots=True)
class Import:
    """One name that a pickle fetches from a module; `?` stands for what only running it would tell."""

    opcode: str
    module: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PickleScan:
    """What was read off.

    Attributes:
        imports: In the order of the opcodes, repetitions included.
        pickles: How many pickles ended properly.
        problem: Why the rest could not be read; None where all of it was.
    """

    imports: tuple[Import, ...]
    pickles: int
    problem: str | None


class _StopError(Exception):
    """The scan ends here, for this reason."""


class _Payload(bytes):
    """The beginning of a payload that is as long as it says, and was not read."""

    length = 0

    def __len__(self) -> int:
        return self.length


class _Source:
    """A pickle as `pickletools` wants it: reads what it needs, within bounds, and jumps over payloads."""

    def __init__(self, stream: BinaryIO, size_bytes: int, *, seeks: bool) -> None:
        self._stream = stream
        self._size = size_bytes
        self._seeks = seeks
        self._left = MAX_BYTES
        self._position = stream.tell()

    def tell(self) -> int:
        return self._position

    def read(self, wanted: int) -> bytes:
        if wanted <= _PAYLOAD_BYTES:
            return self._take(self._stream.read(wanted))
        if self._position + wanted > self._size:
            return b""
        if self._seeks:
            self._stream.seek(wanted, 1)
            self._position += wanted
        else:
            left = wanted
            while left:
                part = self._take(self._stream.read(min(left, _PAYLOAD_BYTES)))
                if not part:
                    return b""
                left -= len(part)
        payload = _Payload(b"")
        payload.length = wanted
        return payload

    def readline(self) -> bytes:
        return self._take(self._stream.readline(_LINE_BYTES))

    def _take(self, data: bytes) -> bytes:
        self._position += len(data)
        self._left -= len(data)
        if self._left < 0:
            raise _StopError(f"only the first {MAX_BYTES >> 20} MiB were read")
        return data


def scan(stream: BinaryIO, size_bytes: int, *, seeks: bool = True) -> PickleScan:
    """Read the imports off the pickles that a stream holds, from where it stands.

    Args:
        stream: A buffered binary stream.
        size_bytes: Where the stream ends.
        seeks: Whether jumping ahead costs nothing.
    """
    source = _Source(stream, size_bytes, seeks=seeks)
    found: list[Import] = []
    steps = [MAX_OPCODES]
    for number in range(_MAX_PICKLES):
        here: list[Import] = []
        start = source.tell()
        try:
            _read(source, here, steps)
            found += here
        except _StopError as stop:
            return PickleScan(imports=(*found, *here), pickles=number, problem=str(stop))
        except Exception as error:  # noqa: BLE001 - whatever pickletools makes of foreign bytes, it is one answer
            # What follows a whole pickle may be raw data, and then says nothing; what announces itself does.
            if number and not (here and _announced(stream, start)):
                return PickleScan(imports=tuple(found), pickles=number, problem=None)
            why = str(error) or type(error).__name__
            return PickleScan(
                imports=(*found, *here), pickles=number, problem=f"it is no whole pickle: {why}"
            )
        if source.tell() >= size_bytes:
            return PickleScan(imports=tuple(found), pickles=number + 1, problem=None)
    return PickleScan(
        imports=tuple(found), pickles=_MAX_PICKLES, problem=f"only the first {_MAX_PICKLES} pickles were read"
    )


def _announced(stream: BinaryIO, start: int) -> bool:
    try:
        stream.seek(start)
        return stream.read(1) == b"\x80"
    except (OSError, ValueError):
        return True


def _read(source: _Source, found: list[Import], steps: list[int]) -> None:
    """Follow one pickle to its end."""
    stack: list[object] = []
    memo: dict[int, object] = {}
    for opcode, argument, _ in pickletools.genops(cast(IO[bytes], source)):
        steps[0] -= 1
        if steps[0] < 0:
            raise _StopError(f"only the first {MAX_OPCODES:,} opcodes were read")
        found.extend(_imports(opcode.name, argument, stack))
        _step(opcode, argument, stack, memo)


def _imports(opcode: str, argument: object, stack: list[object]) -> Iterator[Import]:
    if opcode in ("GLOBAL", "INST"):
        module, _, name = str(argument).partition(" ")
        yield Import(opcode, module, name)
    elif opcode == "STACK_GLOBAL":
        module_, name_ = (stack[-2], stack[-1]) if len(stack) > 1 else (None, None)
        yield Import(
            opcode,
            module_ if isinstance(module_, str) else UNKNOWN,
            name_ if isinstance(name_, str) else UNKNOWN,
        )
    elif opcode in ("EXT1", "EXT2", "EXT4"):
        yield Import(opcode, UNKNOWN, f"extension {argument}")


def _step(
    opcode: pickletools.OpcodeInfo, argument: object, stack: list[object], memo: dict[int, object]
) -> None:
    """What one opcode does to stack and memo; of values only texts are kept."""
    name = opcode.name
    if name == "MEMOIZE":
        memo[len(memo)] = stack[-1] if stack else None
    elif name in _PUTS and isinstance(argument, int):
        memo[argument] = stack[-1] if stack else None
    elif name in _GETS and isinstance(argument, int):
        stack.append(memo.get(argument))
    elif name == "DUP":
        stack.append(stack[-1] if stack else None)
    elif name == "MARK":
        stack.append(_MARK)
    else:
        _pop(opcode, stack)
        is_text = "UNICODE" in name or "STRING" in name
        text = argument if is_text and isinstance(argument, str) else None
        stack.extend([text] * len(opcode.stack_after))


def _pop(opcode: pickletools.OpcodeInfo, stack: list[object]) -> None:
    needs = list(opcode.stack_before)
    if pickletools.markobject in needs:
        while stack and stack.pop() is not _MARK:
            pass
        needs = needs[: needs.index(pickletools.markobject)]
    del stack[max(0, len(stack) - len(needs)) :]
