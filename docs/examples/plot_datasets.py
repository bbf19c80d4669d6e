"""
===========================================
A funnel whose true probabilities are known
===========================================

:func:`~skmtl.datasets.make_funnel` generates an e-commerce log in which an order needs
a cart and a cart needs a click. It returns the true probability of each label along
with the labels. The left panel shows how often each user and each item occurs, the
right one that the labels follow the probabilities over three orders of magnitude.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmtl.datasets import make_funnel

log = make_funnel(500_000, random_state=0)
log.frame.head(3).T

# %%
# The requested rates are the means of the true probabilities. The rates of the labels
# differ from them by chance.

pd.DataFrame({"true probability": log.true_proba.mean(), "label": log.target.mean()})

# %%
# The popularity of ids follows Zipf's law: with ``zipf_exponent=1``, the most popular
# item is shown about ten times as often as the tenth. Users occur in multiples of ten,
# the size of a page. In the right panel, rows are divided into bins of equal size by
# their true probability; bars are two standard errors.

figure, (left, right) = plt.subplots(ncols=2, figsize=(7.5, 4), layout="constrained")
for name, style in {"item_id": "-", "user_id": "--"}.items():
    counts = log.data[name].value_counts().to_numpy()
    left.loglog(np.arange(1, len(counts) + 1), counts, style, label=name)
left.set(xlabel="rank", ylabel="impressions", title="Popularity of ids")
left.legend()

for task, n_bins in {"click": 20, "cart": 20, "order": 10}.items():
    proba, label = log.true_proba[task], log.target[task]
    bins = pd.qcut(proba, n_bins, labels=False)
    table = pd.DataFrame(
        {
            "proba": proba.groupby(bins).mean(),
            "rate": label.groupby(bins).mean(),
            "n": label.groupby(bins).size(),
        }
    )
    table = table[table["proba"] * table["n"] >= 10]  # fewer labels are too noisy
    error = 2 * np.sqrt(table["proba"] * (1 - table["proba"]) / table["n"])
    marker = {"click": "o", "cart": "s", "order": "D"}[task]
    right.errorbar(table["proba"], table["rate"], error, fmt=marker, ms=4, label=task)
right.axline((1e-3, 1e-3), slope=1, color="grey", lw=1, zorder=0)
right.set(
    xscale="log",
    yscale="log",
    xlabel="true probability (mean of a bin)",
    ylabel="share of positive labels",
    title="Labels against the truth",
)
right.legend()
plt.show()
