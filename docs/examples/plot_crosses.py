"""
Learn which users like which items
==================================

Whether a user likes an item often depends on the product of what both are like. Dense
layers need many rows to learn a product of embeddings; with ``crosses`` the network
gets the products.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import expit

from skmtl import ShareBottom
from skmtl.metrics import roc_auc

# %%
# Users and items have a taste of three hidden numbers each. The log-odds of a click are
# the inner product of both, and those of a like are lower by 1. City and hour add to
# the log-odds, as effects in a real log do.
rng = np.random.default_rng(0)
n, n_ids = 60_000, 150
taste, kind = rng.normal(size=(2, n_ids, 3))
user, item = rng.integers(0, n_ids, (2, n))
city, hour = rng.integers(0, 20, n), rng.integers(0, 24, n)
logit = (taste[user] * kind[item]).sum(axis=1) + np.sin(city) + np.cos(hour) / 2
true = expit(logit[:, None] - [0, 1])
X = pd.DataFrame({"user": user, "item": item, "city": city, "hour": hour})
X = X.astype("category")
y = pd.DataFrame(rng.random((n, 2)) < true, columns=["click", "like"]).astype(int)
test = slice(40_000, None)

# %%
# We fit with and without crosses on more and more rows. ``"dcn"`` is the cross network
# of DCN-v2, and ``"fm"`` passes the inner product of each pair of columns to the layers
# that follow.
sizes = [5_000, 10_000, 20_000, 40_000]
scores = pd.DataFrame(
    {
        str(crosses): [
            roc_auc(
                y[test],
                ShareBottom(crosses=crosses, random_state=0)
                .fit(X[:size], y[:size])
                .predict_task_proba(X[test]),
            )[0]
            for size in sizes
        ]
        for crosses in (None, "dcn", "fm")
    },
    index=pd.Index(sizes, name="training rows"),
)
scores.round(3)

# %%
# The dashed line is the AUC of the true probabilities, which no model can exceed but by
# chance. With ``"fm"``, half of the rows teach the network more than all of them teach
# the dense layers alone. Where effects are only added, crosses gain nothing (:doc:`the
# guide </user_guide/crosses>` has both cases, and real tables).
figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
for name, marker in zip(scores, "os^", strict=True):
    label = f'crosses="{name}"' if name != "None" else "crosses=None"
    axes.plot(sizes, scores[name], f"{marker}-", label=label)
axes.axhline(roc_auc(y[test], true[test])[0], ls="--", color="k", label="true rates")
axes.set_xscale("log", base=2)
axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
axes.minorticks_off()
axes.set(xlabel="training rows", ylabel="AUC of clicks on new rows")
axes.legend()
plt.show()
