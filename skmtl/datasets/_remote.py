"""Files of a data set: found in the data folder or downloaded, always verified."""

import bz2
import gzip
import hashlib
import io
import os
import secrets
import tarfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

_TIMEOUT = 60.0  # seconds without an answer
_UNPACK_ERRORS = (
    EOFError,
    OSError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


def get_data_home(data_home: str | os.PathLike[str] | None = None) -> Path:
    """Return the folder in which the fetchers look for data and keep it.

    The argument wins, then the environment variable ``SKMTL_DATA_HOME``, then
    ``~/skmtl_data``. The folder is not created.

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


def unpack(name: str, blob: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield ``(base name, content)`` of every file in a (nested) archive."""
    name = name.rpartition("/")[2]
    if name.endswith(".zip"):
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            for info in archive.infolist():
                if not info.is_dir():
                    yield from unpack(info.filename, archive.read(info))
    elif name.endswith((".tar.gz", ".tgz", ".tar")):
        with tarfile.open(fileobj=io.BytesIO(blob)) as tar:
            for member in tar:
                file = tar.extractfile(member)
                if file is not None:
                    yield from unpack(member.name, file.read())
    elif name.endswith(".gz"):
        yield from unpack(name[:-3], gzip.decompress(blob))
    elif name.endswith(".bz2"):
        yield from unpack(name[:-4], bz2.decompress(blob))
    else:
        yield name, blob


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

    Each member, a name with its sha256, may lie there as it is, with ``.gz`` or
    ``.bz2``, or inside one of ``archives``.
    """
    contents: dict[str, bytes] = {}
    for member in members:
        names = (member, f"{member}.gz", f"{member}.bz2", *archives)
        path = next((folder / n for n in names if (folder / n).is_file()), None)
        if path is None or member in contents:
            continue
        remedy = "Delete or replace this file, then call again."
        try:
            found = dict(unpack(path.name, path.read_bytes()))
        except PermissionError:
            raise
        except _UNPACK_ERRORS as error:
            raise OSError(f"{path}: cannot be unpacked ({error}). {remedy}") from error
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
        try:
            found = dict(unpack(url, blob))
        except _UNPACK_ERRORS as error:
            raise OSError(
                f"{url}: the downloaded file cannot be unpacked ({error}). Nothing "
                "was kept; call again."
            ) from error
        for name in members.keys() & found.keys():
            remedy = (
                "Nothing was kept. Call again; if it stays so, the source has "
                "changed: place a right copy in the data folder yourself."
            )
            verify(f"{name} from {url}", found[name], members[name], remedy)
            contents[name] = found[name]
    missing = sorted(members.keys() - contents.keys())
    if missing:
        raise OSError(f"{', '.join(missing)} not found in {', '.join(urls)}.")
    return contents


def _read_url(url: str, *, n_retries: int, delay: float) -> bytes:
    """Read a URL; try again after faults that may pass."""
    for left in range(n_retries, -1, -1):
        try:
            with urlopen(url, timeout=_TIMEOUT) as response:
                return response.read()
        except HTTPError as error:
            error.close()
            # Of the answers that blame the request, only these two may change.
            permanent = error.code < 500 and error.code not in (408, 429)
            if permanent or not left:
                raise OSError(
                    f"{url}: HTTP error {error.code} {error.reason}"
                ) from None
        except (OSError, HTTPException) as error:
            if not left:
                raise OSError(f"{url}: download failed ({error!r})") from error
        time.sleep(delay)
    raise AssertionError("unreachable")


def prepare_folder(folder: Path) -> None:
    """Create the folder; raise OSError, before any download, if it is read-only."""
    hint = "pass another data_home or set SKMTL_DATA_HOME"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(f"cannot create the folder {folder} ({error}); {hint}") from error
    if not os.access(folder, os.W_OK):
        raise PermissionError(f"cannot write to the folder {folder}; {hint}")


def write_atomic(path: Path, blob: bytes) -> None:
    """Write a file that is either whole or not there."""
    # Not tempfile: its files can be read by their owner only, also once renamed.
    temporary = path.with_name(f"{path.name}.part_{secrets.token_hex(8)}")
    try:
        with temporary.open("xb") as file:
            file.write(blob)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
