"""
Learn the order within a session
================================

The cross-entropy learns how often a row is clicked. A ranking needs the order of the
rows that are shown together. Losses of the order within groups compare such rows with
each other, and are added to the cross-entropy.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import expit

from skmtl import BinaryTask, MMoE
from skmtl.metrics import expected_calibration_error, group_roc_auc, roc_auc

# %%
# There are sessions of eight items. Users with a larger budget are shown more expensive
# items, and click more. Within a session, cheaper items and better rated ones are
# clicked more. The budget is in no column, so the price of a row reflects both.
rng = np.random.default_rng(0)
n_sessions, n_items = 4000, 8
session = np.repeat(np.arange(n_sessions), n_items)
budget = np.repeat(rng.normal(size=n_sessions), n_items)
dearer, stars = rng.normal(size=(2, len(session)))
X = pd.DataFrame({"price": budget + dearer, "stars": stars})
z = -1 + 1.5 * budget - 0.7 * dearer + 0.5 * stars
click = pd.Series((rng.random(len(z)) < expit(z)).astype(int), name="click")
train, test = session < 2000, session >= 2000

# %%
# ``fit`` takes the session of each row as ``groups``. Nothing else changes.
kinds = {
    "cross-entropy": None,
    "pairwise": BinaryTask("pairwise"),
    "listwise": BinaryTask("listwise"),
    "jrc": BinaryTask("jrc"),
    "lambdarank": BinaryTask("lambdarank"),
}
rows = {}
for name, kind in kinds.items():
    ranker = MMoE(
        task_kinds=kind, n_experts=4, expert_units=(32,), max_iter=4, random_state=0
    )
    ranker.fit(X[train], click[train], groups=session[train])
    proba = ranker.predict_task_proba(X[test])[:, 0]
    rows[name] = {
        "AUC within sessions": group_roc_auc(click[test], proba, session[test]),
        "AUC over all rows": roc_auc(click[test], proba),
        "calibration error": expected_calibration_error(click[test], proba),
    }
table = pd.DataFrame(rows).T
table.round(4)

# %%
# The cross-entropy ranks expensive items first, since users with a large budget see
# expensive items: within a session this is worse than chance. The losses on the order
# reverse it, and all four lose a little over all rows. The dashed line is the order of
# the true probabilities, which depend on the budget. Calibration errors, the mean
# distance between predicted and observed rates, range from .014 to .021; that of the
# listwise loss is the largest.
best = group_roc_auc(click[test], z[test], session[test])
figure, axes = plt.subplots(1, 2, figsize=(8, 2.8), sharey=True, layout="constrained")
for axis, column in zip(
    axes, ["AUC within sessions", "calibration error"], strict=True
):
    axis.plot(table[column], table.index, "o", ms=8)
    axis.set_title(column)
    axis.grid(axis="x", alpha=0.4)
axes[0].axvline(best, color="0.4", ls="--", lw=1)
axes[0].text(best, 2, "true probabilities ", ha="right", va="center", color="0.3")
axes[1].set_xlim(0, 1.15 * table["calibration error"].max())
axes[0].invert_yaxis()
figure
