"""The README's main job."""

import re

from skmtl.__main__ import main


def test_main_job_prints_a_table(capsys):
    main(["--max-iter", "1"])
    out = capsys.readouterr().out
    for name in ("ShareBottom", "MMoE", "ChainedMMoE"):
        found = re.search(rf"^{name} +(0\.\d+) +(0\.\d+) +\d+\.\d$", out, re.M)
        assert found, out
        income, married = map(float, found.groups())
        assert income > 0.88
        assert married > 0.93
    assert "100%" in out  # the progress bar
