"""Files that are either complete or absent."""

from __future__ import annotations

import glob
import os
import secrets
from pathlib import Path


def write_whole(path: str | os.PathLike[str], *parts: bytes | memoryview) -> None:
    """Write a file so that a crash leaves the old or the new one, never a part.

    The bytes go to a temporary file in the same folder, which is renamed once all of
    them are on the disk.

    Parameters
    ----------
    path : str or path-like
        Where to write.
    *parts : bytes or memoryview
        What to write, one after the other.
    """
    target = Path(path)
    # In the same folder: a rename is atomic only within a file system. A name of its
    # own for each writer, so that two of them do not mix.
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        with open(part, "xb") as file:
            for one in parts:
                file.write(one)
            file.flush()
            # Otherwise a crash soon after the rename could leave the new name without
            # content.
            os.fsync(file.fileno())
        os.replace(part, target)
    # Also after Ctrl-C.
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def remove_parts(path: str | os.PathLike[str]) -> None:
    """Remove temporary files of processes that were killed while writing."""
    target = Path(path)
    for part in target.parent.glob(f".{glob.escape(target.name)}.*.part"):
        part.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the new name durable too, on systems where folders can be opened."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
