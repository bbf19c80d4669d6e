"""
Evaluate a ranker task by task
==============================

One model predicts clicks and orders. Its AUC over all rows looks good, and pooled over
tasks even better, but it ranks much worse within users. This example shows what each
metric measures, with intervals that resample users.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmtl.metrics import group_roc_auc, roc_auc, task_report

# %%
# Two thousand users see ten items each. Users differ in how often they click, which is
# most of what a model can learn. The model below knows the users well and the items
# only a little. Orders follow clicks, and a tenth of them is not observed yet.
rng = np.random.default_rng(0)
n_users, n_items = 2000, 10
users = np.repeat(np.arange(n_users), n_items)
activity = rng.normal(0, 1.5, n_users)[users]
appeal = rng.normal(0, 1, users.size)
click = rng.random(users.size) < 1 / (1 + np.exp(2 - activity - appeal))
order = click & (rng.random(users.size) < 1 / (1 + np.exp(2 - appeal)))
y = pd.DataFrame({"click": click, "order": order}).astype(float)
y.loc[rng.random(users.size) < 0.1, "order"] = np.nan

known = activity + 0.4 * appeal + rng.normal(0, 0.7, users.size)
proba = pd.DataFrame(
    {
        "click": 1 / (1 + np.exp(2 - known)),
        "order": 1 / (1 + np.exp(4.3 - known)),
    }
)

# %%
# One table contains all metrics. The bootstrap intervals resample users, not rows.
report = task_report(
    y, proba, users, k=3, interval="bootstrap", n_resamples=200, random_state=0
)
report[["n_labels", "positives", "roc_auc", "group_roc_auc", "group_coverage"]].round(3)

# %%
# Pooling the tasks mixes their base rates into the ranking. The result is higher than
# the AUC of either task, and says nothing about the order of items.
both = y.notna().all(axis=1)
pooled = roc_auc(y[both].to_numpy().ravel(), proba[both].to_numpy().ravel())
print(f"pooled over tasks: {pooled:.3f}")

# %%
# GAUC depends on its weights, and covers only users who have both classes.
for weights in ("impressions", "clicks", "equal"):
    value, coverage = group_roc_auc(
        y, proba, users, weights=weights, return_coverage=True
    )
    print(f"{weights:<12} {value.round(3)}, groups covered {coverage.groups.round(2)}")

# %%
# All metrics between 0 and 1 with their intervals, and the calibration of both tasks.
names = {
    "roc_auc": "AUC",
    "group_roc_auc": "AUC within users",
    "ndcg@3": "NDCG@3",
    "precision@3": "precision@3",
    "recall@3": "recall@3",
    "mrr@3": "MRR@3",
}


def errorbars(ax, metrics, shift, marker, label, row):
    """Values of a task with their intervals, from top to bottom."""
    value = row[metrics].to_numpy(float)
    low = row[[f"{name}_low" for name in metrics]].to_numpy(float)
    high = row[[f"{name}_high" for name in metrics]].to_numpy(float)
    height = np.arange(len(metrics)) + shift
    reach = [value - low, high - value]
    ax.errorbar(value, height, xerr=reach, fmt=marker, label=label)


fig, (left, right) = plt.subplots(
    2, 1, figsize=(6.5, 5.2), height_ratios=[3.4, 1], layout="constrained"
)
for shift, marker, (task, row) in zip(
    (-0.12, 0.12), "os", report.iterrows(), strict=True
):
    errorbars(left, list(names), shift, marker, task, row)
    errorbars(right, ["predicted_to_observed"], shift, marker, task, row)
left.plot([0.5, 0.5], [-0.4, 1.4], color="0.6", linestyle="--", zorder=0)
left.text(0.49, 0.5, "random order", ha="right", va="center", color="0.4")
left.set(xlim=(0, 1), xlabel="value, 95 % interval over users")
left.set_yticks(range(len(names)), names.values())
left.invert_yaxis()
left.grid(axis="x", alpha=0.3)
left.legend(loc="lower left")
right.axvline(1, color="0.6", linestyle="--", zorder=0)
right.set(xlabel="predicted / observed positives, 95 % interval", ylim=(0.4, -0.4))
right.set_yticks([])
plt.show()
