"""Serve a file of ``skmtl.export.to_onnx``; needs neither torch nor skmtl.

SKMTL_MODEL=ranker.onnx uvicorn onnx_app:app --workers 4
"""

import json
import os
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import onnxruntime
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field


class Request(BaseModel):
    """One user's candidates."""

    context: dict[str, Any] = Field(default={}, description="what all candidates share")
    candidates: list[dict[str, Any]] = Field(min_length=1, max_length=5000)

    def rows(self) -> list[dict[str, Any]]:
        return [self.context | one for one in self.candidates]


class Model:
    """The file, loaded, and what its metadata say of its inputs."""

    def __init__(self, path: str) -> None:
        options = onnxruntime.SessionOptions()
        # One thread for each request: as many requests at once as there are cores.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(path, options)
        text = self.session.get_modelmeta().custom_metadata_map
        self.version = text["skmtl_version"]
        self.tasks = json.loads(text["task_names"])
        self.inputs = json.loads(text["inputs"])

    def predict(self, rows: list[dict[str, Any]]) -> list[np.ndarray]:
        feed = {one["input"]: cells(rows, one) for one in self.inputs}
        return self.session.run(None, feed)


def cells(rows: list[dict[str, Any]], one: dict[str, Any]) -> np.ndarray:
    """Cells of one input; what is not there is missing."""
    dtype = object if one["dtype"] == "string" else one["dtype"]
    missing = np.nan if one["missing"] is None else one["missing"]
    found = [row.get(one["column"]) for row in rows]
    if not one["is_list"]:
        there = [missing if cell is None else cell for cell in found]
        return np.array(there, dtype=dtype)[:, None]
    lists = [[c for c in cell or [] if c is not None] for cell in found]
    width = max(1, *map(len, lists))
    return np.array([c + [missing] * (width - len(c)) for c in lists], dtype=dtype)


state: dict[str, Model] = {}


@asynccontextmanager
async def lifespan(app: FastAPI):
    """Load, and predict once: the first call of a session is slower than the others."""
    model = Model(os.environ["SKMTL_MODEL"])
    for n_rows in (1, 500):
        model.predict([{}] * n_rows)
    state["model"] = model
    yield
    state.clear()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
def health() -> dict[str, Any]:
    """Say whether requests can be answered."""
    if "model" not in state:
        raise HTTPException(503, "The model is not loaded.")
    return {"tasks": state["model"].tasks, "skmtl_version": state["model"].version}


# Plain functions run in threads; the session releases Python's lock while it computes.
@app.post("/rank")
def rank(request: Request) -> dict[str, Any]:
    """Probabilities of each candidate, and the order in which to show them."""
    return rank_many([request])[0]


@app.post("/rank_many")
def rank_many(requests: list[Request]) -> list[dict[str, Any]]:
    """Several requests in one run."""
    parts = [request.rows() for request in requests]
    try:
        found = state["model"].predict([row for part in parts for row in part])
    except (TypeError, ValueError) as error:
        raise HTTPException(422, f"A cell has the wrong type: {error}") from error
    answers, start = [], 0
    for part in parts:
        proba, *fused = (x[start : start + len(part)] for x in found)
        score = fused[0] if fused else proba[:, 0]
        answers.append(
            {
                "order": np.argsort(-score, kind="stable").tolist(),
                "score": score.tolist(),
                "probabilities": proba.tolist(),
            }
        )
        start += len(part)
    return answers
