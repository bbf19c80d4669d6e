"""Serve a file of ``save``: output weights around a ranker, with skmtl and torch.

SKMTL_MODEL=search.safetensors uvicorn ranker_app:app --workers 4
"""

import os
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel, Field

import skmtl


class Request(BaseModel):
    """One user's candidates."""

    context: dict[str, Any] = Field(default={}, description="what all candidates share")
    candidates: list[dict[str, Any]] = Field(min_length=1, max_length=5000)


state: dict[str, Any] = {}


@asynccontextmanager
async def lifespan(app: FastAPI):
    """Load, and predict once: look-ups are made at the first call."""
    torch.set_num_threads(1)
    model = skmtl.load(os.environ["SKMTL_MODEL"], device="cpu")
    ranker = getattr(model, "estimator_", model.estimator)
    columns = list(ranker.feature_names_in_)
    empty = pd.DataFrame(np.nan, index=range(500), columns=columns)
    for n_rows in (1, 500):
        model.decision_function(empty.iloc[:n_rows])
    tasks = [str(name) for name in ranker.task_names_]
    state.update(model=model, columns=columns, tasks=tasks)
    yield
    state.clear()


app = FastAPI(lifespan=lifespan)


@app.get("/health")
def health() -> dict[str, Any]:
    """Say whether requests can be answered."""
    if "model" not in state:
        raise HTTPException(503, "The model is not loaded.")
    return {"tasks": state["tasks"]}


@app.post("/rank")
def rank(request: Request) -> dict[str, Any]:
    """The ranking score of each candidate, and the order in which to show them."""
    rows = [request.context | one for one in request.candidates]
    frame = pd.DataFrame(rows).reindex(columns=state["columns"])
    try:
        score = state["model"].decision_function(frame)
    except (TypeError, ValueError) as error:
        raise HTTPException(422, str(error)) from error
    order = np.argsort(-score, kind="stable")
    return {"order": order.tolist(), "score": score.tolist()}
