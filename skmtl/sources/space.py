"""Disk space, and sizes as text."""

from __future__ import annotations

import os
import shutil


def check_scratch(folder: str, n_bytes: int) -> None:
    """Raise if a folder does not have `n_bytes` of free space.

    Raises
    ------
    ValueError
        The message says what is needed, what is free, and what to do.
    """
    if not os.path.isdir(folder):
        raise ValueError(
            f"scratch_dir={folder!r} is not a folder. Pass a folder, or None for the "
            "system's folder of temporary files."
        )
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise ValueError(
            f"The encoded rows take {size_text(n_bytes)} of scratch space, but "
            f"{folder!r} has {size_text(free)} free. Set scratch_dir to a folder with "
            "room for them."
        )


def size_text(n_bytes: float) -> str:
    """Format a number of bytes: ``"512 B"``, ``"3.4 MB"``, ``"1.2 GB"``."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 999.5:
            return f"{n_bytes:.0f} B" if unit == "B" else f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.3g} GB"
