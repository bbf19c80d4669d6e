"""How much memory is free."""

from __future__ import annotations

import os


def free_memory() -> int | None:
    """Bytes of memory that can be used; None if the system does not say."""
    try:
        # Available, not free: the kernel gives up its caches when memory is needed.
        with open("/proc/meminfo") as file:
            for line in file:
                if line.startswith("MemAvailable:"):
                    return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:
        # All memory, for systems that do not say how much of it is available (macOS).
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):  # Windows
        return None
