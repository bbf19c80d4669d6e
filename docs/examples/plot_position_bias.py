"""
Learn from clicks on sorted pages
=================================

Items at the top of a page are clicked because they are at the top. A tower over the
position learns how much of the clicks this explains, and is left out when ranking.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy.stats import spearmanr

from skmtl import ShareBottom
from skmtl.datasets import make_funnel

# %%
# A user examines position k with probability 1/k, and clicks only what they have
# examined. Some items are promoted: they come first on their pages, whether they are
# relevant or not. Unlike a real log, this one contains the truth: ``relevance`` is the
# probability of a click on a row that is examined.
log = make_funnel(
    30_000,
    n_users=500,
    n_items=200,
    tasks=["click", "cart"],
    position_bias=1.0,
    page_order=1.5,
    random_state=0,
)
X, y = log.data, log.target
train, test = slice(0, 24_000), slice(24_000, None)
y.groupby(X["position"]).mean().round(3)

# %%
# We compare three rankers: one does not see the position, one has it as an ordinary
# feature and predicts as if all rows were at the top, and one has a tower for it.
without = X.drop(columns="position")
rankers = {
    "ignored": ShareBottom(random_state=0).fit(without[train], y[train]),
    "a feature, fixed at 1": ShareBottom(random_state=0).fit(X[train], y[train]),
    "bias tower": ShareBottom(bias_features=["position"], random_state=0).fit(
        X[train], y[train]
    ),
}
asked = {
    "ignored": without[test],
    "a feature, fixed at 1": X[test].assign(position=1),
    "bias tower": without[test],
}
scores = pd.DataFrame(
    {
        name: [
            spearmanr(proba, log.relevance[task][test]).statistic
            for task, proba in zip(
                y, ranker.predict_task_proba(asked[name]).T, strict=True
            )
        ]
        for name, ranker in rankers.items()
    },
    index=y.columns,
)
scores.T.round(3)

# %%
# The right panel shows what the tower adds to the log-odds of a click at each position,
# and the logarithm of the true probability of examination. Clicks are rare, so that the
# two are nearly the same up to a constant.
ranker = rankers["bias tower"]
positions = np.arange(1, 11)
rows = ranker.encoder_.encode(X.iloc[[0] * 10].assign(position=positions))
inputs = {name: torch.from_numpy(part) for name, part in rows.as_dict().items()}
with torch.inference_mode():
    added = ranker.net_.module_.biased(torch.zeros(10, 2), inputs)[:, 0].numpy()

figure, (left, right) = plt.subplots(1, 2, figsize=(7.8, 3.4), layout="constrained")
scores.T.plot.barh(ax=left, color=["C0", "C1"])
left.invert_yaxis()
left.set(xlabel="rank correlation with relevance", xlim=(0, 1))
left.legend(loc="lower right")
right.plot(positions, added - added.mean(), "o-", label="tower")
truth = -np.log(positions)
right.plot(positions, truth - truth.mean(), "k--", label="log P(examined)")
right.set(xlabel="position", ylabel="added to the log-odds", xticks=positions)
right.legend()
plt.show()
