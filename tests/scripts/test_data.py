"""Downloads: whole or not at all, once, and refused where the sum is another."""

import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from plastic_rl.scripts import UsageError, data
from plastic_rl.scripts.data import download
from tests.scripts.small_runs import refusal

CONTENT = bytes(range(256)) * 4096
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; breaks off after half of it as often as `breaks` says."""

    breaks = 0

    def do_GET(self):
        cls = type(self)
        cls.requests.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        broken = cls.breaks > 0
        cls.breaks -= broken
        self.wfile.write(CONTENT[: len(CONTENT) // 2] if broken else CONTENT)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    handler = type("Fresh", (Handler,), {"requests": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", handler
    server.shutdown()


def names(folder):
    return sorted(file.name for file in folder.iterdir())


def test_downloads_once(server, tmp_path):
    url, handler = server
    for _ in range(2):
        file = download(f"{url}/a.zip", tmp_path / "new", MD5)
    assert file.read_bytes() == CONTENT
    assert handler.requests == ["/a.zip"]


def test_tries_again_where_the_connection_broke(server, tmp_path):
    url, handler = server
    handler.breaks = 1
    assert download(f"{url}/a.zip", tmp_path, MD5).read_bytes() == CONTENT
    assert names(tmp_path) == ["a.zip"]


def test_gives_up_says_so_and_keeps_nothing(server, tmp_path):
    url, handler = server
    handler.breaks = 99
    with pytest.raises(UsageError, match="cannot be downloaded"):
        download(f"{url}/a.zip", tmp_path, MD5, retries=0)
    assert names(tmp_path) == []


def test_another_sum_is_not_kept(server, tmp_path):
    url, _ = server
    with pytest.raises(UsageError, match=f"{MD5}"):
        download(f"{url}/a.zip", tmp_path, "0000", retries=0)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot be downloaded into"):
        download(f"{server[0]}/a.zip", tmp_path / "file" / "folder", MD5, retries=0)


def test_the_command(server, tmp_path, capsys, monkeypatch):
    url, _ = server
    monkeypatch.setitem(data.SOURCES, "omniglot", {f"{url}/x.zip": MD5})
    data.main(["omniglot", "--root", str(tmp_path)])
    assert names(tmp_path) == ["x.zip"]
    monkeypatch.setitem(data.SOURCES, "omniglot", {"what://here/y.zip": MD5})
    assert "cannot be downloaded" in refusal(capsys, data.main, ["omniglot", "--root", tmp_path])
    assert "invalid choice: 'omniglott'" in refusal(capsys, data.main, ["omniglott"])
    with pytest.raises(UsageError, match="404"):
        download(f"{url}/missing", tmp_path, MD5, retries=0)
