"""A medium on a file system of fsspec that a user allows: sftp, Google Cloud Storage, and others.

Nothing is believed of such a place but what `gitml store check` saw: how each file system writes decides whether a
write is whole for its readers and whether one of racing writers wins. Connections are taken from a pool, one for each
call at a time, because many of these clients serve one thread only; one that failed is not used again.
"""

from __future__ import annotations

import errno
import secrets
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol, TypeVar

import fsspec

from gitml.errors import (
    AccessDenied,
    GitMLError,
    NoSpace,
    NotFound,
    OutcomeUnknown,
    StoreUnavailable,
    UsageError,
)
from gitml.model.redact import redact
from gitml.model.store_url import StoreUrl
from gitml.store.media.medium import Buffers, PutOutcome, absent, check_object_name, is_object, short
from gitml.store.media.remote_options import RemoteOptions
from gitml.store.media.retry import Failure, FailureKind, Patience

_T = TypeVar("_T")
_NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED: Final = (401, 403)
# By name: their packages are loaded only where one of their file systems is in use.
_REFUSING: Final = {"AuthenticationException", "BadHostKeyException", "UnknownHostError", "RefreshError"}
_NO_KEYS: Final = "No authentication methods"


class Bodies(Protocol):
    """How whole objects get into a file system, and bytes of them out."""

    def begin(self, files: Any) -> None:
        """Make ready a file system whose connection is new."""

    def put(self, files: Any, path: str, body: bytes) -> None:
        """Write, replacing what is there."""

    def create(self, files: Any, path: str, body: bytes) -> None:
        """Write where nothing is.

        Raises:
            FileExistsError: The name is taken.
        """

    def read(self, files: Any, path: str, start: int, stop: int) -> bytes:
        """The bytes [start, stop); fewer where the file ends before."""

    def close(self, files: Any) -> None:
        """End the connection of a file system that is not used again."""


class PlainBodies:
    """The file system's own way, in one call."""

    def begin(self, files: Any) -> None:
        """Nothing to do: how long a call may stand still is for its client to say."""

    def put(self, files: Any, path: str, body: bytes) -> None:
        """See :class:`Bodies`."""
        self._made(files, path, lambda: files.pipe_file(path, body))

    def create(self, files: Any, path: str, body: bytes) -> None:
        """See :class:`Bodies`."""
        self._made(files, path, lambda: files.pipe_file(path, body, mode="create"))

    def read(self, files: Any, path: str, start: int, stop: int) -> bytes:
        """See :class:`Bodies`."""
        body: bytes = files.cat_file(path, start, stop)
        return body

    def close(self, files: Any) -> None:
        """Nothing to do: these file systems look after their connections themselves."""

    def _made(self, files: Any, path: str, write: Callable[[], object]) -> None:
        try:
            write()
        except FileNotFoundError:  # there are folders here, and this one is not there yet
            files.makedirs(path.rpartition("/")[0], exist_ok=True)
            write()


class FsspecMedium:
    """Objects below a folder of a file system of fsspec.

    Args:
        connect: Makes a file system, with a connection of its own.
        root: Folder of the store in it.
        url: Where it is, without credentials.
        bodies: How objects get into it, and out.
        options: Time limits.
    """

    def __init__(
        self, connect: Callable[[], Any], root: str, url: str, bodies: Bodies, options: RemoteOptions
    ) -> None:
        self._connect = connect
        self._root = root.rstrip("/")
        self._url = url
        self._bodies = bodies
        self._patience = Patience(options.timeout_s, options.stall_s)
        self._used = options.arguments.get("username")
        self._lock = threading.Lock()
        self._idle: list[Any] = []
        weakref.finalize(self, _close_all, self._idle, bodies)

    @property
    def url(self) -> str:
        """The location."""
        return self._url

    def credentials(self) -> str:
        """Which credentials are used, as far as can be said."""
        return "what its client finds by itself" + (f", as {self._used}" if self._used else "")

    def head(self, name: str) -> int | None:
        check_object_name(name)
        try:
            return self._made("looking up", name, lambda files: self._size(files, name))
        except NotFound:
            return None

    def get(self, name: str, start: int = 0, end: int | None = None) -> bytes:
        check_object_name(name)

        def read(files: Any) -> bytes:
            stop = self._size(files, name) if end is None else end
            if not 0 <= start <= stop:
                raise short(self.url, name, stop, start, stop)
            if start == stop:
                return b""
            body = self._bodies.read(files, self._path(name), start, stop)
            if len(body) == stop - start:
                return body
            size = self._size(files, name)
            if size < stop:
                raise short(self.url, name, size, start, stop)
            raise EOFError(f"{len(body)} bytes came instead of {stop - start}")

        if end == start:  # no file system reads nothing, so its size tells whether there is such a place
            size = self.head(name)
            if size is None:
                raise absent(self.url, name)
            if size < start:
                raise short(self.url, name, size, start, start)
        return self._made("reading", name, read)

    def put(self, name: str, body: Buffers) -> None:
        check_object_name(name)
        whole = b"".join(body)
        self._made(
            "writing", name, lambda files: self._bodies.put(files, self._path(name), whole), writes=True
        )

    def put_if_absent(self, name: str, body: Buffers) -> PutOutcome:
        check_object_name(name)
        whole = b"".join(body)
        lost = False

        def create(files: Any) -> PutOutcome:
            nonlocal lost
            if lost and (found := self._found(files, name)) is not None:
                return PutOutcome.CREATED if found == whole else PutOutcome.EXISTS
            lost = True
            try:
                self._bodies.create(files, self._path(name), whole)
            except FileExistsError:
                return PutOutcome.EXISTS
            return PutOutcome.CREATED

        return self._made("creating", name, create, writes=True)

    def delete(self, name: str) -> bool:
        if self.head(name) is None:
            return False

        def remove(files: Any) -> bool:
            with suppress(FileNotFoundError):  # an attempt whose reply was lost took it away
                files.rm_file(self._path(name))
            return True

        return self._made("deleting", name, remove, writes=True)

    def list(self, prefix: str) -> Iterator[tuple[str, int]]:
        if prefix:
            check_object_name(prefix.rstrip("/"))
        folder = f"{self._root}/{prefix}".rstrip("/")

        def look(files: Any) -> dict[str, Any]:
            found: dict[str, Any] = files.find(folder, detail=True)
            return found

        for path, entry in self._made("listing", prefix or ".", look).items():
            name = path.removeprefix(self._root + "/")
            if name.startswith(prefix) and is_object(name) and entry.get("type") == "file":
                yield name, int(entry["size"])

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _size(self, files: Any, name: str) -> int:
        files.invalidate_cache()
        entry = files.info(self._path(name))
        if entry.get("type") != "file" or entry.get("size") is None:
            raise FileNotFoundError(errno.ENOENT, "is no file", name)
        return int(entry["size"])

    def _found(self, files: Any, name: str) -> bytes | None:
        try:
            found: bytes = files.cat_file(self._path(name))
        except FileNotFoundError:
            return None
        return found

    # -- attempts

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        with self._lock:
            files = self._idle.pop() if self._idle else None
        files = self._connect() if files is None else files
        try:
            yield files
        except (FileNotFoundError, FileExistsError, PermissionError, GitMLError):
            self._keep(files)  # it answered
            raise
        except BaseException:
            _close_all([files], self._bodies)
            raise
        self._keep(files)

    def _keep(self, files: Any) -> None:
        with self._lock:
            self._idle.append(files)

    def _made(self, doing: str, name: str, call: Callable[[Any], _T], *, writes: bool = False) -> _T:
        """The result of a call, after as many attempts as it takes."""
        attempts, was_sent = 0, False
        while True:
            attempts += 1
            self._patience.attempt_s()  # what watches over stalls is the client's own
            try:
                with self._connection() as files:
                    was_sent = True
                    result = call(files)
            except GitMLError:
                raise
            except Exception as error:
                self._refuse(doing, name, error)
                failure = Failure(kind=FailureKind.LOST, reason=f"{type(error).__name__}: {error}")
                if not self._patience.wait(attempts, failure):
                    raise self._given_up(
                        doing, name, failure, attempts, is_unknown=writes and was_sent
                    ) from error
            else:
                self._patience.answered()
                return result

    def _refuse(self, doing: str, name: str, error: Exception) -> None:
        """Raise for failures that would only come again."""
        context = {"object": name, "store": self.url}
        said = redact(str(error)) or type(error).__name__
        if isinstance(error, FileNotFoundError):
            raise absent(self.url, name) from error
        refused = isinstance(error, PermissionError) or _NO_KEYS in said
        refused = refused or any(kind.__name__ in _REFUSING for kind in type(error).__mro__)
        if refused or any(getattr(error, word, None) in _DENIED for word in ("code", "status")):
            raise AccessDenied(
                f"{doing} {name} in {self.url} was refused: {said}; credentials: {self.credentials()}",
                hint="get the right, or name other credentials in your own settings: stores.NAME.options",
                context=context,
            ) from error
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            raise NoSpace(
                f"{doing} {name} in {self.url}: no room: {said}",
                hint="make room there, then run the command again",
                context=context,
            ) from error
        if isinstance(
            error, NotImplementedError | TypeError | ValueError | IsADirectoryError | NotADirectoryError
        ):
            raise StoreUnavailable(
                f"{doing} {name} in {self.url}: its client cannot do it: {said}",
                code="call-refused",
                hint="use another place",
                context=context,
            ) from error

    def _given_up(
        self, doing: str, name: str, failure: Failure, attempts: int, *, is_unknown: bool
    ) -> GitMLError:
        kind = OutcomeUnknown if is_unknown else StoreUnavailable
        return kind(
            f"{doing} {name} in {self.url}: {redact(failure.reason)} ({attempts} attempts)",
            hint="run the command again",
            context={"object": name, "store": self.url, "attempts": attempts},
        )


def open_fsspec(url: StoreUrl, options: RemoteOptions) -> FsspecMedium:
    """The medium of a scheme that the user allows.

    Raises:
        UsageError: fsspec has no file system of that scheme.
    """
    try:
        kind: Any = fsspec.get_filesystem_class(url.scheme)
    except ValueError as error:
        raise UsageError(
            f"fsspec knows no file system {url.scheme}://",
            code="unknown-scheme",
            hint="install the package that brings it, or correct allow_schemes in your settings",
        ) from error
    arguments = {**kind._get_kwargs_from_urls(str(url)), **options.arguments}
    bodies: Bodies = PlainBodies()
    if "sftp" in (kind.protocol if isinstance(kind.protocol, tuple) else (kind.protocol,)):
        from gitml.store.media.sftp import SftpBodies, with_known_hosts

        bodies, arguments = SftpBodies(options.stall_s), with_known_hosts(arguments, options.stall_s)

    def connect() -> Any:
        files = kind(**arguments, skip_instance_cache=True)
        files.dircache.use_listings_cache = False  # not every file system takes that as an argument
        bodies.begin(files)
        return files

    return FsspecMedium(connect, kind._strip_protocol(str(url)), str(url), bodies, options)


def _close_all(idle: Sequence[Any], bodies: Bodies) -> None:
    for files in idle:
        with suppress(Exception):
            bodies.close(files)


def temporary_name(path: str) -> str:
    """A name beside a path that no object has."""
    return f"{path.rpartition('/')[0]}/.tmp-{secrets.token_hex(8)}"
