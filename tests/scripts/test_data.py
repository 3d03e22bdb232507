"""Downloads: whole or not at all, resumed where the connection broke, refused where the sum is another."""

import hashlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from plastic_rl.scripts import data
from plastic_rl.scripts.data import DownloadError, download, main

CONTENT = bytes(range(256)) * 4096
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT; breaks off after half of it as often as `breaks` says; knows ranges if `ranges`."""

    breaks, ranges = 0, True

    def do_GET(self):
        cls = type(self)
        cls.requests.append(self.headers.get("Range"))
        if self.path == "/missing":
            self.send_error(404)
            return
        begin = int(self.headers["Range"][6:-1]) if cls.ranges and "Range" in self.headers else 0
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(CONTENT) - begin))
        self.end_headers()
        end = len(CONTENT)
        if cls.breaks:
            cls.breaks -= 1
            end = begin + (end - begin) // 2
        self.wfile.write(CONTENT[begin:end])

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
        download(f"{url}/a.zip", tmp_path / "new" / "a.zip", MD5)
    assert (tmp_path / "new" / "a.zip").read_bytes() == CONTENT
    assert len(handler.requests) == 1


@pytest.mark.parametrize("ranges", [True, False])
def test_goes_on_where_the_connection_broke(server, tmp_path, ranges):
    url, handler = server
    handler.breaks, handler.ranges = 2, ranges
    download(f"{url}/a.zip", tmp_path / "a.zip", MD5, pause=0.0)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert handler.requests == [None, f"bytes={len(CONTENT) // 2}-", handler.requests[2]]
    assert names(tmp_path) == ["a.zip"]


def test_gives_up_and_says_so_but_keeps_what_came(server, tmp_path):
    url, handler = server
    handler.breaks = 99
    with pytest.raises(DownloadError, match="cannot be had: the connection ended after"):
        download(f"{url}/a.zip", tmp_path / "a.zip", MD5, pause=0.0)
    assert names(tmp_path) == ["a.zip.part"]
    handler.breaks = 0
    download(f"{url}/a.zip", tmp_path / "a.zip", MD5)
    assert names(tmp_path) == ["a.zip"]


def test_another_sum_is_not_kept(server, tmp_path):
    url, _ = server
    with pytest.raises(DownloadError, match=f"has MD5 {MD5}, not 0000"):
        download(f"{url}/a.zip", tmp_path / "a.zip", "0000")
    assert names(tmp_path) == []


def test_a_full_disk_leaves_nothing(server, tmp_path, monkeypatch):
    url, _ = server
    opened = data._opened

    def full(path, mode):
        file = opened(path, mode)

        class Full:
            def __enter__(self):
                return self

            def __exit__(self, *_):
                file.close()

            def write(self, chunk):
                file.write(chunk[:100])
                raise OSError(28, "No space left on device")

        return Full()

    monkeypatch.setattr(data, "_opened", full)
    with pytest.raises(DownloadError, match=r"cannot be written: .*No space left"):
        download(f"{url}/a.zip", tmp_path / "a.zip", MD5)
    assert names(tmp_path) == []


def test_the_command(server, tmp_path, capsys):
    url, _ = server
    main(["omniglot", "--root", str(tmp_path), "--url", f"{url}/x.zip", "--md5", MD5.upper()])
    assert names(tmp_path) == ["x.zip"]
    for arguments, message in [
        (["--url", f"{url}/missing", "--md5", MD5], "cannot be had: HTTP Error 404"),
        (["--url", f"{url}/x.zip"], "--url must end in one of images_background.zip"),
        (["--url", f"{url}/x.zip", "--md5", "1", "2"], "one sum for each of the 1 addresses, got 2"),
        (["--url", f"{url}/", "--md5", MD5], "--url must be an address that ends in a file's name"),
        (["--url", f"{url}/..", "--md5", MD5], "--url must be an address that ends in a file's name"),
        (["--url", "x.zip", "--md5", MD5], "--url must be an address that ends in a file's name"),
        (["--url", "http://[here/y.zip", "--md5", MD5], "cannot be had: Invalid IPv6 URL"),
    ]:
        with pytest.raises(SystemExit) as stop:
            main(["omniglot", "--root", str(tmp_path), *arguments])
        assert stop.value.code == 1
        error = capsys.readouterr().err
        assert message in error
        assert "Traceback" not in error
