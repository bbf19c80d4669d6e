"""A server on this machine that answers as it is told."""

import io
import tarfile
import threading
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
    """Serves ``answers[path]``: a list of (status, body, announced length)."""

    def __init__(self):
        self.answers, self.requests = {}, []
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def serve(self, path, body, status=200, length=None):
        self.answers.setdefault(path, []).append((status, body, length))


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.requests.append(self.path)
        queue = self.server.answers.get(self.path, [(404, b"", None)])
        status, body, length = queue.pop(0) if len(queue) > 1 else queue[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

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
