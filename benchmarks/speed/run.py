"""Run competitors in turn, each fit in its own process."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).parent


def add_common(parser: argparse.ArgumentParser) -> None:
    """Options that all scripts share."""
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--python",
        nargs="*",
        default=[],
        metavar="NAME=PATH",
        help="interpreters of peers that live in an environment of their own",
    )


def interpreters(options: argparse.Namespace) -> dict[str, str]:
    """Interpreter of each competitor that has one."""
    return dict(pair.split("=", 1) for pair in options.python)


def launch(
    name: str,
    threads: int,
    pythons: dict[str, str],
    script: str,
    tree: Path = HERE.parents[1],
    **asked,
) -> str:
    """What a script prints in a process of its own; `asked` are its options.

    The package is that in the folder `tree`.
    """
    command = [pythons.get(name, sys.executable), str(HERE / f"{script}.py"), name]
    for option, value in (asked | {"threads": threads}).items():
        if value is not False:
            command += [f"--{option.replace('_', '-')}"]
            command += [] if value is True else [str(value)]
    path = os.pathsep.join(filter(None, [str(tree), os.environ.get("PYTHONPATH")]))
    limits = {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    env = os.environ | limits | {"PYTHONPATH": path}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def present(names: list[str], options: argparse.Namespace) -> list[str]:
    """The competitors whose libraries are installed; the others are named."""
    pythons, found = interpreters(options), []
    for name in names:
        command = [pythons.get(name, sys.executable), "-c", f"import with_{name}"]
        path = os.pathsep.join([str(HERE), str(HERE.parents[1])])
        env = os.environ | {"PYTHONPATH": path}
        done = subprocess.run(command, capture_output=True, text=True, env=env)
        if done.returncode:
            print(f"{name} is left out: {done.stderr.splitlines()[-1]}", flush=True)
        else:
            found.append(name)
    return found


def measure(name: str, threads: int, pythons: dict[str, str], **asked) -> dict:
    """One fit in a process of its own."""
    out = launch(name, threads, pythons, "measure", **asked)
    result: dict = json.loads(out.splitlines()[-1])
    return result


def interleaved(
    names: list[str], options: argparse.Namespace, **asked
) -> dict[str, list[dict]]:
    """Results of every competitor, round by round, seeds counting up."""
    pythons, found = interpreters(options), defaultdict(list)
    for seed in range(options.rounds):
        for name in names:
            threads = options.threads
            found[name].append(measure(name, threads, pythons, seed=seed, **asked))
    return found
