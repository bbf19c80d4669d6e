"""
Use the history of a user
=========================

A history is a list of ids in a single cell. How likely it makes a click on the current
item depends on both together, which a mean over the history cannot express.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmtl import ShareBottom
from skmtl.metrics import task_report

# %%
# There are five kinds of items. Users click items whose kind is frequent in their
# history, and order them if it is even more frequent. The table does not contain the
# kinds, only the ids.
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
# The history shares the embeddings of the item. Attention weights each entry of the
# history by its cosine with the item of the row.
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
reports = {
    name: task_report(y[test], ranker.predict_task_proba(X[test]))
    for name, ranker in rankers.items()
}
pd.concat(reports, names=["pooling"])[["roc_auc", "roc_auc_low", "roc_auc_high"]].round(
    3
)

# %%
# The right panel shows the cosines between the embeddings that attention has learned,
# with items sorted by kind: it has discovered the five kinds. Within a kind, cosines
# are near 1 or -1, since an entry and its opposite contribute equally to the sum.
tables = rankers["attention"].net_.module_.embedding.ids.tables
encoder = rankers["attention"].encoder_
order = np.argsort(np.arange(n_items) % n_kinds, kind="stable")
asked = pd.DataFrame({"item": order, "history": [[]] * n_items})
rows = tables[0].detach().numpy()[encoder.encode(asked).ids[:, 0]]
rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)

figure, (left, right) = plt.subplots(1, 2, figsize=(7.8, 3.8), layout="constrained")
for k, task in enumerate(y):
    judged = pd.DataFrame(
        {name: report.loc[task] for name, report in reports.items()}
    ).T
    auc = judged["roc_auc"]
    reach = [auc - judged["roc_auc_low"], judged["roc_auc_high"] - auc]
    height = np.arange(len(auc)) + 0.2 * k - 0.1
    left.errorbar(auc, height, xerr=reach, fmt="os"[k], label=task)
left.set_yticks(range(len(auc)), auc.index)
left.invert_yaxis()
left.set(xlabel="AUC, 95 % interval", title="Pooling")
left.grid(axis="x", alpha=0.4)
left.legend()
image = right.imshow(rows @ rows.T, vmin=-1, vmax=1, cmap="RdBu_r")
right.set(xlabel="item, sorted by kind", ylabel="item", title="Embeddings")
figure.colorbar(image, ax=right, label="cosine", shrink=0.8)
plt.show()
