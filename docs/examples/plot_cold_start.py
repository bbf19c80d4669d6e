"""
Rank items that nobody has seen
===============================

A fifth of the items of this log appear on its last day only. Training that lets known
items play the unknown, and a fallback from items to their categories, give them scores
that mean something.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmtl import MMoE
from skmtl.datasets import make_funnel
from skmtl.inspection import cold_start_report

# %%
# Train on six days, test on the seventh.
log = make_funnel(60_000, new_item_share=0.2, random_state=1)
X, y = log.data, log.target[["click", "cart"]]
test = (log.timestamp >= np.datetime64("2024-01-07")).to_numpy()
train_items = set(X["item_id"][~test])
print(f"{1 - X['item_id'][test].isin(train_items).mean():.0%} of the test rows are new")

# %%
# The same network three times: known items never play the unknown; they do, as by
# default; and unknown items fall back to their category.
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
# ROC AUC of clicks by how often training has seen the item, and the level of the
# predictions: their mean over the mean true probability. Compare bars of one group: the
# groups hold different rows. Carts are too few for the first.
kinds = ["often", "rarely", "never"]
true = log.true_proba[["click", "cart"]][test].mean()
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for k, (name, ranker) in enumerate(rankers.items()):
    rows = reports[name].query("task == 'click'").set_index("seen").loc[kinds]
    level = ranker.predict_task_proba(X[test]).mean(axis=0) / true
    style = {"width": 0.22, "label": name, "hatch": ["", "//", ".."][k]}
    axes[0].bar(np.arange(3) + 0.25 * (k - 1), rows["roc_auc"], **style)
    axes[1].bar(np.arange(2) + 0.25 * (k - 1), level, **style)
axes[0].set(xticks=range(3), xticklabels=kinds, xlabel="item seen", ylabel="ROC AUC")
axes[0].set_ylim(0.6, 0.8)
axes[1].set(
    xticks=range(2), xticklabels=list(y), ylabel="predicted / true", ylim=(0.8, 1.3)
)
axes[1].axhline(1, color="0.4", lw=1)
axes[1].legend(fontsize="small")
plt.show()
