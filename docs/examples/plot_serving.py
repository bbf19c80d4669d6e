"""
From a CSV file to the answer of a service
==========================================

We read a log of impressions from a CSV file, fit a ranker, and search for the weights
of its tasks. All of it is written to one ONNX file, which a service reads: it receives
a request as JSON, and returns the order of its candidates.
"""

# %%
# Write the log. In practice, the file already exists.

import json
import os
import tempfile

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skmtl import MMoE, OutputWeightSearchCV
from skmtl.datasets import make_funnel

folder = tempfile.TemporaryDirectory()
csv = os.path.join(folder.name, "log.csv")
log = make_funnel(20_000, random_state=0)
log.data.assign(click=log.target["click"], cart=log.target["cart"]).to_csv(
    csv, index=False
)

# %%
# Integer ids must be named; strings are ids by their dtype.

table = pd.read_csv(csv)
tasks = ["click", "cart"]
X, y = table.drop(columns=tasks), table[tasks]
train, search_rows, test = slice(0, 14_000), slice(14_000, 17_000), slice(17_000, None)
ranker = MMoE(
    categorical_features=["user_id", "item_id", "category_id", "device"], random_state=0
).fit(X[train], y[train])
search = OutputWeightSearchCV(ranker, scoring="auc:cart", cv="prefit")
search.fit(X[search_rows], y[search_rows])
search.best_params_

# %%
# The file is compared with the ranker before it is written.

from skmtl.export import to_onnx

path = os.path.join(folder.name, "ranker.onnx")
to_onnx(search, path, X=X[test])
os.path.getsize(path)

# %%
# This is the service of the user guide, called without a network. It ranks 500
# candidates for a user; two of them are new, and the price of one is not known.

import sys

from starlette.testclient import TestClient

sys.path.insert(0, os.path.join("docs", "serving"))  # of a checkout
os.environ["SKMTL_MODEL"] = path
from onnx_app import app

candidates = X[test].head(500).drop(columns="user_id")
rows = json.loads(candidates.to_json(orient="records"))
rows[0]["item_id"] = rows[1]["item_id"] = 999_999
rows[2]["price"] = None
request = {"context": {"user_id": int(X["user_id"].iloc[-1])}, "candidates": rows}
with TestClient(app) as service:
    print(service.get("/health").json())
    answer = service.post("/rank", json=request).json()
answer["order"][:5]

# %%
# The answer also holds the probabilities. The plot shows the candidates in the order of
# the answer:

proba = np.array(answer["probabilities"])[answer["order"]]
fig, ax = plt.subplots(figsize=(6, 2.8), layout="constrained")
for task, column in zip(tasks, proba.T, strict=True):
    ax.plot(column, ".", markersize=3, label=task)
ax.set(xlabel="place in the answer", ylabel="probability", yscale="log")
ax.legend()
plt.show()

# %%
# The scores are those of the search itself, up to rounding.

frame = pd.DataFrame(rows).assign(user_id=request["context"]["user_id"])
float(np.abs(search.decision_function(frame) - answer["score"]).max())

# %%

folder.cleanup()
