"""
Inspect the gates
=================

Which experts does each task use, and do the experts differ? Two groups of related tasks
show what to look for.
"""

# sphinx_gallery_thumbnail_number = 2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmtl import PLE, MMoE
from skmtl.displays import ExpertSimilarityDisplay, GateWeightsDisplay
from skmtl.inspection import expert_similarity

# %%
# Two hidden causes, each with two tasks that depend on it.
rng = np.random.default_rng(0)
X = pd.DataFrame(rng.normal(size=(20_000, 6)), columns=list("abcdef"))
liking = np.sin(2 * X["a"]) + X["b"] * X["c"]
buying = np.abs(X["d"]) + X["e"] * X["f"]
y = pd.DataFrame(
    {
        "click": liking + rng.logistic(size=len(X)) > 1,
        "share": liking + rng.logistic(size=len(X)) > 2,
        "cart": buying + rng.logistic(size=len(X)) > 2,
        "order": buying + rng.logistic(size=len(X)) > 3,
    }
).astype(int)

# %%
# If a box is far from the dashed line, the gate prefers or avoids this expert. If a box
# is long, the gate depends on the row.
mmoe = MMoE(n_experts=4, expert_units=(32,), random_state=0).fit(X, y)
GateWeightsDisplay.from_estimator(mmoe, X).plot()
plt.show()

# %%
# The mean weights in one table. Tasks with similar rows use the experts in the same
# way: click and share, cart and order.
GateWeightsDisplay.from_estimator(mmoe, X).plot(kind="mean")
plt.show()

# %%
# In PLE, tasks only read their own experts and the shared ones.
ple = PLE(expert_units=(32,), random_state=0).fit(X, y)
GateWeightsDisplay.from_estimator(ple, X).plot()
plt.show()

# %%
# The similarity is 1 if the outputs of two experts are equal up to a rotation and a
# scale.
ExpertSimilarityDisplay(similarity=expert_similarity(mmoe, X)).plot()
plt.show()
