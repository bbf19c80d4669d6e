"""
Read what a user viewed before
==============================

A history is a list of ids in one cell. Whether it speaks for the item at hand is a
question about the two together, which a mean over the history cannot answer.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmtl import ShareBottom

# %%
# Items of five kinds. A user clicks what is of a kind that the history is full of, and
# orders when it is fuller still. The table does not tell the kinds: there are ids only.
rng = np.random.default_rng(0)
n_rows, n_items, n_kinds = 16_000, 100, 5
item = rng.integers(0, n_items, n_rows)
history = [rng.integers(0, n_items, k).tolist() for k in rng.integers(0, 15, n_rows)]
alike = np.array(
    [
        sum(seen % n_kinds == i % n_kinds for seen in h)
        for h, i in zip(history, item, strict=True)
    ]
)
X = pd.DataFrame({"item": item, "history": history})
y = pd.DataFrame(
    {
        "click": 2 * alike - 2 + rng.logistic(size=n_rows) > 0,
        "order": 2 * alike - 6 + rng.logistic(size=n_rows) > 0,
    }
).astype(int)
X.head()

# %%
# The history shares the embeddings of the item. Attention weighs each of its entries by
# its cosine with the item of the row.
train, test = slice(0, 12_000), slice(12_000, None)
rankers = {}
for pooling in ("mean", "max", "sum", ("attention", "item")):
    ranker = ShareBottom(
        categorical_features=["item", "history"],
        share_embedding={"history": "item"},
        pooling=pooling,
        batch_size=256,
        random_state=0,
    )
    name = pooling if isinstance(pooling, str) else pooling[0]
    rankers[name] = ranker.fit(X[train], y[train])
auc = pd.Series({name: r.score(X[test], y[test]) for name, r in rankers.items()})
auc.round(3)

# %%
# On the right, the cosines between the embeddings that attention has learnt, items
# sorted by kind: it has found the five kinds, of which no one told it. Within a kind
# they are near 1 or -1, since an entry and its opposite add the same to the sum.
tables = rankers["attention"].net_.module_.embedding.ids.tables
encoder = rankers["attention"].encoder_
order = np.argsort(np.arange(n_items) % n_kinds, kind="stable")
asked = pd.DataFrame({"item": order, "history": [[]] * n_items})
rows = tables[0].detach().numpy()[encoder.encode(asked).ids[:, 0]]
rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.barh(auc.index, auc)
left.bar_label(left.containers[0], fmt="%.3f", padding=3)
left.set(xlim=(0.5, 1), xlabel="ROC AUC, mean of both tasks", title="Pooling")
image = right.imshow(rows @ rows.T, vmin=-1, vmax=1, cmap="RdBu_r")
right.set(xlabel="item, sorted by kind", ylabel="item", title="Cosines of embeddings")
figure.colorbar(image, ax=right)
plt.show()
