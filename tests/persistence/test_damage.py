"""A damaged file loads to the same or is refused, and runs no code."""

import json
import subprocess
import sys
from pathlib import Path


def test_damage():
    # In a process of its own, since an audit hook cannot be removed.
    script = Path(__file__).with_name("damage.py")
    out = subprocess.run(
        [sys.executable, script, "100"], capture_output=True, text=True, check=True
    )
    found = json.loads(out.stdout)
    assert found["events"] == {}
    assert "CHANGED" not in found["tally"]
    assert sum(found["tally"].values()) == 100
