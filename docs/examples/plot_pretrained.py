"""
Items without any feedback
==========================

A catalogue gets new items every day, and a ranker knows nothing about ids that it has
not seen. In this example, vectors of items are learned from the sequences in which
users encounter them, and a ranker starts from these vectors.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.metrics import roc_auc_score

from skmtl import MMoE, PretrainedEmbedding
from skmtl.embedders import Word2VecEmbedder

# %%
# There are three kinds of items. A user mostly views one kind. Clicks and orders depend
# on the kind and on the item.
rng = np.random.default_rng(0)
n_items, n_kinds, n_users = 400, 3, 1500
kind = rng.integers(0, n_kinds, n_items)
members = [np.flatnonzero(kind == k) for k in range(n_kinds)]
liked = rng.integers(0, n_kinds, n_users)
user = np.repeat(np.arange(n_users), 12)
strays = rng.random(len(user)) < 0.2
of_kind = np.where(strays, rng.integers(0, n_kinds, len(user)), liked[user])
item = np.array([rng.choice(members[k]) for k in of_kind])
log = pd.DataFrame({"user_id": user, "item_id": item})

taste = 1.5 * rng.normal(size=(n_kinds, 2))[kind] + 0.5 * rng.normal(size=(n_items, 2))
y = pd.DataFrame(
    taste[item] + rng.logistic(size=(len(item), 2)) > [0, 1], columns=["click", "order"]
).astype(int)

# %%
# The vectors are learned from the sequences alone, without labels. The first two
# principal components separate the kinds.
embedder = Word2VecEmbedder(
    group_column="user_id", item_column="item_id", max_iter=10, random_state=0
).fit(log)
plane = PCA(2).fit_transform(embedder.embeddings_)

fig, ax = plt.subplots(figsize=(5.5, 4.5), layout="constrained")
of_row = kind[embedder.embeddings_.index]
for k in range(n_kinds):
    ax.scatter(*plane[of_row == k].T, s=16, marker="os^"[k], label=f"kind {k}")
ax.set(
    title="Vectors of items",
    xlabel="first component",
    ylabel="second component",
)
ax.legend()
plt.show()

# %%
# A quarter of the items have no row in the training data. Without vectors, they are all
# the same unknown id.
unrated = np.isin(item, rng.choice(n_items, n_items // 4, replace=False))
X = log[["item_id"]].astype("category")
starts = {
    "at random": None,
    "word2vec": {"item_id": embedder},
    "word2vec, frozen": {"item_id": PretrainedEmbedding(embedder, mode="frozen")},
}
auc = {}
for name, embeddings in starts.items():
    ranker = MMoE(embeddings=embeddings, max_iter=2, random_state=0)
    ranker.fit(X[~unrated], y[~unrated])
    proba = ranker.predict_task_proba(X[unrated])
    auc[name] = roc_auc_score(y[unrated], proba, average=None)
table = pd.DataFrame(auc, index=y.columns)
table.round(3)

# %%
# With vectors, they are scored like similar items. The dashed line is the upper bound,
# which uses the true taste of each item.
best = roc_auc_score(y[unrated], taste[item[unrated]], average=None)

fig, ax = plt.subplots(figsize=(6, 3.8), layout="constrained")
for k, (name, values) in enumerate(table.items()):
    height = np.arange(len(values)) + 0.15 * (k - 1)
    ax.plot(values, height, "osD"[k], label=f"start {name}")
for task, value in enumerate(best):
    reach = [task - 0.3, task + 0.3]
    ax.plot([value, value], reach, "k--", label="upper bound" if not task else None)
ax.axvline(0.5, color="0.7", lw=1)
ax.set(title="Items without a training row", xlabel="AUC", ylim=(1.5, -0.5))
ax.set_yticks(range(2), y.columns)
fig.legend(loc="outside lower center", ncols=2)
plt.show()
