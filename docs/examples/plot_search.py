"""
Choose output weights
=====================

A list needs a single score. How much should a cart count compared with a click? With
two tasks, the answer is a curve.
"""

import matplotlib.pyplot as plt

from skmtl import MMoE, OutputWeightSearchCV
from skmtl.datasets import make_funnel
from skmtl.displays import OutputWeightsDisplay, ParetoFrontDisplay

# %%
# A log of clicks and carts. The ranker is trained on the first part, and the weights
# are chosen on the second, which it has not seen.
log = make_funnel(30_000, random_state=0)
X, y = log.data, log.target[["click", "cart"]]
train, valid = slice(0, 20_000), slice(20_000, None)
ranker = MMoE(n_experts=4, expert_units=(32,), max_iter=2, random_state=0)
ranker.fit(X[train], y[train])

# %%
# The scale of the weights does not change the ranking, so only the share of each task
# matters. The constraint keeps at least 98 % of the best AUC of clicks.
search = OutputWeightSearchCV(
    ranker,
    weights=21,
    scoring=["auc:cart", "auc:click"],
    refit="auc:cart",
    constraints={"auc:click": (">=", 0.98, "relative")},
    cv="prefit",
).fit(X[valid], y[valid])
search.best_params_

# %%
# The interval of the best score is wide compared with the curve: on so few rows, many
# weights are equally good.
OutputWeightsDisplay.from_search(search, n_resamples=100, random_state=0).plot()
plt.show()

# %%
# What carts gain, clicks pay. The front contains the candidates that no other beats.
ParetoFrontDisplay.from_search(search).plot()
plt.show()
