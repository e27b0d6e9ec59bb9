import http.server
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from cnnlab.tracking.wandb_access import answers, has_key, within

URL = "https://api.wandb.example"


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_a_key_is_found_in_environment_settings_and_netrc(monkeypatch, tmp_path):
    assert not has_key(URL, None)
    assert has_key(URL, "k")
    (tmp_path / "netrc").write_text("machine other.example login user password x\n")
    assert not has_key(URL, None)
    (tmp_path / "netrc").write_text("machine api.wandb.example login user password x\n")
    assert has_key(URL, None)
    (tmp_path / "netrc").write_text("machine broken")
    assert not has_key(URL, None)
    monkeypatch.setenv("WANDB_API_KEY", "k")
    assert has_key(URL, None)


@pytest.fixture
def server() -> Iterator[str]:
    class Refuse(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuse)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_any_answer_counts_silence_does_not(server):
    assert answers(server, 5.0)
    assert not answers("http://127.0.0.1:9", 5.0)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        start = time.monotonic()
        assert not answers(f"http://127.0.0.1:{deaf.getsockname()[1]}", 0.3)
        assert time.monotonic() - start < 2


def test_within_returns_what_was_raised():
    assert within(5.0, lambda: None) is None
    assert isinstance(within(5.0, lambda: 1 / 0), ZeroDivisionError)
    assert isinstance(within(0.05, lambda: time.sleep(1)), TimeoutError)
