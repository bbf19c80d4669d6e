"""A server on this machine that answers as it is told."""

import contextlib
import io
import tarfile
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


@pytest.fixture(scope="session")
def nested_archive():
    """A function that packs files as the UCI archive does: a tar.gz in a zip."""
    return _nested_archive


def _nested_archive(**files):
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"folder/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    outer = io.BytesIO()
    with zipfile.ZipFile(outer, "w") as archive:
        archive.writestr("census.tar.gz", inner.getvalue())
    return outer.getvalue()


class Server(ThreadingHTTPServer):
    """Serves ``answers[path]``: a list of what `serve` is given."""

    def __init__(self):
        self.answers, self.requests = {}, []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def serve(self, path, body, status=200, length=None, location=None, slow=None):
        """Queue an answer; the last one of a path is given again and again.

        `length` is what is announced: the true length if None, nothing if False.
        `slow` sends a byte now and then of the "header" or the "body".
        """
        answer = (status, body, length, location, slow)
        self.answers.setdefault(path, []).append(answer)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        queue = self.server.answers.get(self.path, [(404, b"", None, None, None)])
        status, body, length, location, slow = (
            queue.pop(0) if len(queue) > 1 else queue[0]
        )
        if slow == "header":
            self.trickle(b"HTTP/1.0 200 OK\r\nX-Slow: " + b"x" * 100)
            return
        self.send_response(status)
        if length is not False:
            announced = len(body) if length is None else length
            self.send_header("Content-Length", str(announced))
        if location is not None:
            self.send_header("Location", location)
        self.end_headers()
        if slow == "body":
            self.trickle(body)
            return
        with contextlib.suppress(ConnectionError):  # a client that has enough
            self.wfile.write(body)

    def trickle(self, content):
        with contextlib.suppress(ConnectionError):
            for byte in content[:40]:
                self.wfile.write(bytes([byte]))
                time.sleep(0.05)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
