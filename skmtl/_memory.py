"""How much memory is free."""

from __future__ import annotations

import os
from pathlib import Path

# Names of a control group's files, and of the entry of `memory.stat` that counts the
# cached pages of files, which the kernel gives up when memory is needed.
_V2 = ("memory.max", "memory.current", "inactive_file")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def free_memory(root: str = "/") -> int | None:
    """Bytes of memory that can be used; None if the system does not say.

    The least of what the machine has available and of what the limits of a container,
    which are those of its control groups (versions 1 and 2), leave.

    Parameters
    ----------
    root : str, default="/"
        Folder in which ``proc`` and ``sys`` lie.
    """
    known = [_of_machine(Path(root)), *_of_groups(Path(root))]
    return min((free for free in known if free is not None), default=None)


def _of_machine(root: Path) -> int | None:
    try:
        # Available, not free: the kernel gives up its caches when memory is needed.
        return 1024 * _entry(root / "proc/meminfo", "MemAvailable:")
    except (OSError, ValueError):
        pass
    try:
        # All memory, for systems that do not say how much of it is available (macOS).
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return None


def _of_groups(root: Path) -> list[int]:
    """What the limits of this process's group, and of those around it, leave."""
    found = []
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        top, names = root / "sys/fs/cgroup", _V2
        if controllers:
            if "memory" not in controllers.split(","):
                continue
            top, names = top / "memory", _V1
        # In a container, the path may be that of the host, of which only the top, the
        # group of the container, is to be seen.
        group = top / path.lstrip("/")
        while True:
            free = _left(group, *names)
            if free is not None:
                found.append(free)
            if group == top:
                break
            group = group.parent
    return found


def _left(group: Path, limit: str, usage: str, cached: str) -> int | None:
    """What the limit of one group leaves; None without one."""
    try:
        most = int((group / limit).read_text())
        used = int((group / usage).read_text())
        used -= _entry(group / "memory.stat", cached)
    except (OSError, ValueError):  # "max" is no limit
        return None
    return max(most - used, 0)


def _entry(file: Path, name: str) -> int:
    """Read the number that follows a name."""
    with file.open() as lines:
        for line in lines:
            if line.startswith(name):
                return int(line.split()[1])
    raise ValueError(f"{file} has no {name}.")
