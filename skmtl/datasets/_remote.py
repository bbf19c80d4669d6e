"""Files of a data set: found in the data folder or downloaded, always verified.

A server or a folder may hold anything. So sizes, nesting and time are bounded, and
every fault ends in an OSError that names the file.
"""

import bz2
import gzip
import hashlib
import io
import os
import secrets
import tarfile
import threading
import time
import zipfile
from collections.abc import Collection, Iterator
from http.client import HTTPException, HTTPMessage, IncompleteRead
from pathlib import Path
from typing import IO, cast
from urllib.error import HTTPError
from urllib.request import HTTPRedirectHandler, Request, build_opener

_TIMEOUT = 60.0  # seconds without an answer
_TOTAL_TIME = 900.0  # seconds for one download
_MAX_DOWNLOAD = 64 * 2**20  # bytes; the largest file that is fetched has 9 MiB
_MAX_UNPACKED = 352 * 2**20  # bytes; the largest archive has 149 MiB, in a tar file
_MAX_DEPTH = 6  # layers; a gzipped tar file has two
_CHUNK = 2**16


def get_data_home(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder in which the fetchers look for data and keep it.

    The argument takes precedence, then the environment variable ``SKMTL_DATA_HOME``,
    then ``~/skmtl_data``. The folder is not created.

    Parameters
    ----------
    data_home : path-like, default=None
        The folder; ``None`` means the environment variable or the default.

    Returns
    -------
    pathlib.Path
        The folder, with ``~`` expanded.

    Examples
    --------
    >>> from skmtl.datasets import get_data_home
    >>> get_data_home("/tmp/tables").name
    'tables'
    """
    if data_home is None:
        data_home = os.environ.get("SKMTL_DATA_HOME") or "~/skmtl_data"
    return Path(data_home).expanduser()


class _Room:
    """Bytes that may still be unpacked from one file."""

    def __init__(self) -> None:
        self.left = _MAX_UNPACKED

    def read(self, file: IO[bytes]) -> bytes:
        # One byte more than there is room for, so that too large a file is noticed.
        content = file.read(self.left + 1)
        self.count(content)
        return content

    def count(self, content: bytes) -> None:
        self.left -= len(content)
        if self.left < 0:
            raise OSError(f"it holds more than {_MAX_UNPACKED // 2**20} MiB")

    def limited(self, file: IO[bytes]) -> "_Limited":
        return _Limited(file, self)


class _Limited:
    """A file that stops a reader before it has read more than there is room for."""

    def __init__(self, file: IO[bytes], room: _Room) -> None:
        self.file, self.room = file, room

    def read(self, size: int) -> bytes:
        content = self.file.read(size)
        self.room.count(content)
        return content


def unpack(
    name: str, blob: bytes, wanted: Collection[str] | None = None
) -> Iterator[tuple[str, bytes]]:
    """Yield ``(base name, content)`` of the wanted files in a (nested) archive.

    None means every file. Others are not read.
    """
    yield from _unpack(name, io.BytesIO(blob), wanted, _Room(), _MAX_DEPTH)


def _unpack(
    name: str,
    file: IO[bytes],
    wanted: Collection[str] | None,
    room: _Room,
    depth: int,
) -> Iterator[tuple[str, bytes]]:
    if depth < 0:
        raise OSError(f"it has more than {_MAX_DEPTH} layers of nested archives")
    name = name.rpartition("/")[2]
    if name.endswith((".zip", ".tar")):
        tar = name.endswith(".tar")
        members = _tar_members(room.limited(file)) if tar else _zip_members(file)
        for member, content in members:
            # Archives are read with seeks, which members of a tar stream lack.
            nested = io.BytesIO(room.read(content)) if _is_packed(member) else content
            yield from _unpack(member, nested, wanted, room, depth - 1)
    # The same layers under another name: the depth stays.
    elif name.endswith(".tgz"):
        yield from _unpack(f"{name[:-4]}.tar.gz", file, wanted, room, depth)
    elif name.endswith((".gz", ".bz2")):
        inner, _, kind = name.rpartition(".")
        with (gzip if kind == "gz" else bz2).open(file) as plain:
            yield from _unpack(inner, cast(IO[bytes], plain), wanted, room, depth - 1)
    elif wanted is None or name in wanted:
        yield name, room.read(file)


def _is_packed(name: str) -> bool:
    return name.endswith((".zip", ".tar", ".tgz", ".gz", ".bz2"))


def _zip_members(file: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.is_dir():
                with archive.open(info) as content:
                    yield info.filename, content


def _tar_members(file: _Limited) -> Iterator[tuple[str, IO[bytes]]]:
    # "r|" is one pass without seeking.
    with tarfile.open(fileobj=cast(IO[bytes], file), mode="r|") as tar:
        for member in tar:
            content = tar.extractfile(member) if member.isfile() else None
            if content is not None:  # links and devices have no content
                yield member.name, content


def _unpacked(
    source: str, name: str, blob: bytes, members: Collection[str], remedy: str
) -> dict[str, bytes]:
    """Unpack the members of a file; any fault is an OSError that names the file."""
    try:
        return dict(unpack(name, blob, members))
    # Damaged or hostile archives make these libraries raise almost anything:
    # RuntimeError for a password, KeyError, struct.error, NotImplementedError.
    except Exception as error:
        what = str(error) or type(error).__name__
        raise OSError(f"{source}: cannot be unpacked ({what}). {remedy}") from error


def verify(source: str, content: bytes, sha256: str, remedy: str) -> None:
    """Raise OSError unless ``content`` has the expected checksum."""
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise OSError(
            f"{source}: the sha256 of the uncompressed content is {found}, expected "
            f"{sha256}. {remedy}"
        )


def read_local(
    folder: Path, members: dict[str, str], archives: tuple[str, ...] = ()
) -> dict[str, bytes]:
    """Return the verified content of those ``members`` that lie in ``folder``.

    Each member, a name with its sha256, may lie there uncompressed, with ``.gz`` or
    ``.bz2``, or inside one of ``archives``.
    """
    contents: dict[str, bytes] = {}
    for member in members:
        names = (member, f"{member}.gz", f"{member}.bz2", *archives)
        path = next((folder / n for n in names if (folder / n).is_file()), None)
        # An archive may have given it together with an earlier member.
        if path is None or member in contents:
            continue
        remedy = "Delete or replace this file, then call again."
        # Before the file is read into memory.
        if path.stat().st_size > _MAX_UNPACKED:
            raise OSError(
                f"{path}: has more than {_MAX_UNPACKED // 2**20} MiB, so it is not the "
                f"expected file. {remedy}"
            )
        found = _unpacked(str(path), path.name, path.read_bytes(), members, remedy)
        for name in members.keys() & found.keys():
            verify(str(path), found[name], members[name], remedy)
            contents.setdefault(name, found[name])
    return contents


def download(
    urls: tuple[str, ...], members: dict[str, str], *, n_retries: int, delay: float
) -> dict[str, bytes]:
    """Return the verified content of ``members``, unpacked from ``urls``."""
    contents: dict[str, bytes] = {}
    for url in urls:
        blob = _read_url(url, n_retries=n_retries, delay=delay)
        found = _unpacked(url, url, blob, members, "Nothing was kept; call again.")
        for name in members.keys() & found.keys():
            remedy = (
                "Nothing was kept. Call again; if this persists, the source has "
                "changed: put the expected file into the data folder yourself."
            )
            verify(f"{name} from {url}", found[name], members[name], remedy)
            contents[name] = found[name]
    missing = sorted(members.keys() - contents.keys())
    if missing:
        raise OSError(f"{', '.join(missing)} not found in {', '.join(urls)}.")
    return contents


def _read_url(url: str, *, n_retries: int, delay: float) -> bytes:
    """Read a URL; try again after faults that may be temporary."""
    for left in range(n_retries, -1, -1):
        try:
            return _within_time(url)
        except HTTPError as error:
            error.close()
            # Of the client errors, only these two (timeout, too many) may be temporary.
            permanent = error.code < 500 and error.code not in (408, 429)
            if permanent or not left:
                raise OSError(
                    f"{url}: HTTP error {error.code} {error.reason}"
                ) from None
        except _TooMuchError as error:
            raise OSError(f"{url}: {error}") from None
        except (OSError, HTTPException) as error:
            if not left:
                raise OSError(f"{url}: download failed ({error!r})") from error
        except ValueError as error:  # the server redirects to an invalid location
            raise OSError(
                f"{url}: redirected to a location that is not valid ({error})"
            ) from error
        time.sleep(delay)
    raise AssertionError("unreachable")


class _TooMuchError(Exception):
    """A server sends more data, or takes longer, than the file can need.

    Not an OSError, after which the download would be tried again.
    """


def _within_time(url: str) -> bytes:
    """Read a URL in a thread, so that a slow server cannot block the caller forever."""
    result: dict[str, bytes | BaseException] = {}
    stop = threading.Event()

    def read() -> None:
        try:
            result["content"] = _read_response(url, stop)
        # It is raised again in the thread of the caller.
        except BaseException as error:
            result["error"] = error

    # A daemon: a server that sends nothing does not hold up the end of the process.
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(_TOTAL_TIME)
    # A slow thread ends after its next chunk.
    stop.set()
    if not result:
        raise _TooMuchError(f"no whole answer within {_TOTAL_TIME:g} seconds")
    (found,) = result.values()
    if isinstance(found, BaseException):
        raise found
    return found


class _WebOnly(HTTPRedirectHandler):
    """Follow redirects to web addresses only; urllib would follow FTP too."""

    def redirect_request(
        self,
        req: Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> Request | None:
        if not newurl.lower().startswith(("http://", "https://")):
            raise ValueError(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage
    ) -> IO[bytes] | None:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except BaseException:
            fp.close()  # urllib leaves it open if the location is invalid
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_302
    http_error_308 = http_error_302


def _read_response(url: str, stop: threading.Event) -> bytes:
    with build_opener(_WebOnly).open(url, timeout=_TIMEOUT) as response:
        announced = response.headers.get("Content-Length", "")
        length = int(announced) if announced.isdecimal() else None
        content = bytearray()
        while not stop.is_set():
            # The announced length saves the download, but a server need not announce
            # it.
            if max(len(content), length or 0) > _MAX_DOWNLOAD:
                raise _TooMuchError(
                    f"the answer has more than {_MAX_DOWNLOAD // 2**20} MiB, so it is "
                    "not the expected file"
                )
            part = response.read1(_CHUNK)  # `read` would wait for a full chunk
            if not part:
                break
            content += part
        # `read1` does not raise if the connection ends early.
        if length is not None and len(content) < length:
            raise IncompleteRead(bytes(content), length - len(content))
        return bytes(content)


def prepare_folder(folder: Path) -> None:
    """Create the folder; raise OSError, before any download, if it is read-only."""
    hint = "pass another data_home or set SKMTL_DATA_HOME"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot create the folder {folder} ({error}); {hint}") from error
    # An existing folder that is read-only passes `mkdir`.
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"cannot write to the folder {folder}; {hint}")


def write_atomic(path: Path, blob: bytes) -> None:
    """Write a file so that it is either complete or absent."""
    # Not tempfile, whose files only their owner can read, even after renaming.
    temporary = path.with_name(f"{path.name}.part_{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(blob)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
