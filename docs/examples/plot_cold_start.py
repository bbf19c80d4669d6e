"""
Rank items that were never seen
===============================

A fifth of the items in this log appear only on the last day. Two options prepare a
ranker for them: training replaces known items by the unknown one from time to time, and
unknown items fall back to their category.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmtl import MMoE
from skmtl.datasets import make_funnel
from skmtl.inspection import cold_start_report

# %%
# Train on six days and test on the seventh.
log = make_funnel(60_000, new_item_share=0.2, random_state=1)
X, y = log.data, log.target[["click", "cart"]]
test = (log.timestamp >= np.datetime64("2024-01-07")).to_numpy()
train_items = set(X["item_id"][~test])
print(f"{1 - X['item_id'][test].isin(train_items).mean():.0%} of the test rows are new")

# %%
# The same network three times: known items are never replaced by the unknown one; they
# are, which is the default; and unknown items also fall back to their category.
small = {"n_experts": 4, "expert_units": (64,), "random_state": 0}
rankers = {
    "unknown_rate=0": MMoE(unknown_rate=0.0, **small),
    "unknown_rate=10": MMoE(**small),
    "unknown_rate=10, fallback": MMoE(fallback={"item_id": "category_id"}, **small),
}
reports = {}
for name, ranker in rankers.items():
    ranker.fit(X[~test], y[~test])
    reports[name] = cold_start_report(ranker, X[test], y[test], columns=["item_id"])
report = pd.concat(reports, names=["ranker"]).reset_index("ranker")
report.pivot_table(
    index=["task", "seen", "n_rows", "positives"], columns="ranker", values="roc_auc"
).round(3)

# %%
# ROC AUC of clicks by how often training has seen the item, with 95 % intervals, and
# the mean prediction relative to the mean true probability. Compare the rankers within
# a group only: the groups contain different rows. There are too few carts for the left
# panel, and on a single day most differences are within the intervals.
kinds = ["often", "rarely", "never"]
true = log.true_proba[["click", "cart"]][test].mean()
figure, axes = plt.subplots(1, 2, figsize=(7.5, 4), layout="constrained")
for k, (name, ranker) in enumerate(rankers.items()):
    rows = reports[name].query("task == 'click'").set_index("seen").loc[kinds]
    auc = rows["roc_auc"].to_numpy()
    reach = [auc - rows["roc_auc_low"], rows["roc_auc_high"] - auc]
    shift, style = 0.16 * (k - 1), {"color": f"C{k}", "label": name}
    axes[0].errorbar(np.arange(3) + shift, auc, reach, fmt="osD"[k], **style)
    level = ranker.predict_task_proba(X[test]).mean(axis=0) / true
    axes[1].plot(np.arange(2) + shift, level, "osD"[k], **style)
axes[0].set(
    xticks=range(3),
    xticklabels=kinds,
    xlim=(-0.5, 2.5),
    xlabel="item seen in training",
    ylabel="AUC of click, 95 % interval",
)
axes[1].set(
    xticks=range(2),
    xticklabels=list(y),
    xlim=(-0.5, 1.5),
    ylabel="mean prediction / mean true probability",
)
axes[1].axhline(1, color="0.4", lw=1, zorder=0)
for ax in axes:
    ax.grid(axis="y", alpha=0.3)
figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
plt.show()
