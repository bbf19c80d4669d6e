"""A fitted ranker behind a service: forked workers, threads, memory."""

import gc
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from skmtl import ShareBottom
from tests.rankers.conftest import make_impressions

# The ranker is loaded, and has used OpenMP's threads, before the workers are forked.
APP = """
import json, os
import pandas as pd
from skmtl import ShareBottom
ranker = ShareBottom.load(os.environ["SKMTL_MODEL"])
ranker.predict_task_proba(pd.read_pickle(os.environ["SKMTL_ROWS"]))

def app(environ, start_response):
    rows = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
    proba = ranker.predict_task_proba(pd.DataFrame(rows)).tolist()
    body = json.dumps({"pid": os.getpid(), "proba": proba}).encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@pytest.fixture(scope="module")
def fitted():
    X, y = make_impressions(6000)
    ranker = ShareBottom(
        max_iter=1,
        random_state=0,
        n_threads=2,
        categorical_features=["user", "item"],
        embedding_dim=4,
        tower_units=(4,),
    )
    return ranker.fit(X, y), X


class LocalConnection(http.client.HTTPConnection):
    """A connection to a socket in a folder, which needs no free port."""

    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


def ask(path, rows):
    connection = LocalConnection(path)
    connection.request("POST", "/", json.dumps(rows))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    return answer["pid"], answer["proba"]


@pytest.mark.long
@pytest.mark.skipif(not hasattr(os, "fork"), reason="gunicorn needs fork")
def test_workers_of_gunicorn_that_share_a_ranker(fitted):
    ranker, X = fitted
    rows = json.loads(X.iloc[:20].to_json(orient="records"))
    expected = ranker.predict_task_proba(X.iloc[:20])
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        here = Path(folder)
        (here / "service.py").write_text(APP)
        ranker.save(here / "model")
        X.to_pickle(here / "rows")
        command = [sys.executable, "-m", "gunicorn", "--preload", "--workers", "2"]
        command += ["--threads", "4", "--bind", f"unix:{here}/socket", "service:app"]
        environment = os.environ | {
            "SKMTL_MODEL": str(here / "model"),
            "SKMTL_ROWS": str(here / "rows"),
            "PYTHONPATH": os.pathsep.join([folder, os.environ["PYTHONPATH"]]),
        }
        with (here / "log").open("w") as log:
            server = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, cwd=here
            )
        try:
            until = time.monotonic() + 90
            while not (here / "socket").exists() and time.monotonic() < until:
                assert server.poll() is None, (here / "log").read_text()
                time.sleep(0.1)
            seen = set()
            with ThreadPoolExecutor(8) as pool:
                while len(seen) < 2 and time.monotonic() < until:
                    answers = list(
                        pool.map(lambda _: ask(str(here / "socket"), rows), range(32))
                    )
                    seen |= {pid for pid, _ in answers}
                    for _, proba in answers:
                        assert_array_equal(proba, expected)
            assert len(seen) == 2
            assert server.pid not in seen
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


def test_predictions_of_single_rows_leave_nothing_behind(fitted):
    ranker, X = fitted
    records = X.to_dict("records")

    def predict(n):
        for record in records[:n]:  # a new table for each request
            ranker.predict_task_proba(pd.DataFrame([record]))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = predict(300)
        after = predict(400)
    finally:
        tracemalloc.stop()
    # Python's own caches take some; an array or a table that is kept takes more.
    assert after - before < 100 * 400
