"""The memory that is free, on machines and in containers."""

import pytest

from skmtl._memory import free_memory

GB = 2**30


def write(root, files):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def v2(group, limit, used, cached=0):
    return {
        f"sys/fs/cgroup/{group}memory.max": f"{limit}\n",
        f"sys/fs/cgroup/{group}memory.current": f"{used}\n",
        f"sys/fs/cgroup/{group}memory.stat": f"anon 1\ninactive_file {cached}\n",
    }


def v1(group, limit, used, cached):
    return {
        f"sys/fs/cgroup/memory/{group}memory.limit_in_bytes": f"{limit}\n",
        f"sys/fs/cgroup/memory/{group}memory.usage_in_bytes": f"{used}\n",
        f"sys/fs/cgroup/memory/{group}memory.stat": (
            f"inactive_file 1\ntotal_inactive_file {cached}\n"
        ),
    }


@pytest.mark.parametrize(
    ("cgroup", "files", "expected"),
    [
        ("0::/\n", {}, 64 * GB),
        ("0::/\n", v2("", "max", GB), 64 * GB),
        ("0::/\n", v2("", 4 * GB, 3 * GB, GB), 2 * GB),
        ("0::/\n", v2("", 4 * GB, 5 * GB), 0),
        ("0::/\n", v2("", 100 * GB, GB), 64 * GB),
        # The limit of a group around that of the process.
        ("0::/a/b\n", v2("a/b/", "max", GB) | v2("a/", 8 * GB, 2 * GB), 6 * GB),
        # The path is that of the host, which the container does not see.
        ("0::/docker/3f\n", v2("", 4 * GB, GB), 3 * GB),
        ("4:memory:/\n0::/\n", v1("", 4 * GB, 3 * GB, GB), 2 * GB),
        ("5:cpu:/a\n4:cpuset,memory:/a\n", v1("a/", 9 * GB, GB, 0), 8 * GB),
        ("4:memory:/\n", v1("", 2**63 - 4096, GB, 0), 64 * GB),
    ],
)
def test_limits_of_containers_count(tmp_path, cgroup, files, expected):
    meminfo = f"MemTotal: 1 kB\nMemAvailable: {64 * GB // 1024} kB\n"
    start = {"proc/self/cgroup": cgroup, "proc/meminfo": meminfo}
    write(tmp_path, start | files)
    assert free_memory(str(tmp_path)) == expected


def test_a_machine_without_control_groups(tmp_path):
    write(tmp_path, {"proc/meminfo": "MemAvailable: 8 kB\n"})
    assert free_memory(str(tmp_path)) == 8192
