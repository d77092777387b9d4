"""HTTP with limits: what a hostile or broken server can do to the client."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from vllm_stand_in import QuietServer

from simko.agents.engine import vllm_http
from simko.agents.engine.vllm_http import HaltedError, Server
from simko.errors import UserError


@contextmanager
def answering(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[str]:
    """A server whose every GET is answered by a function; its address."""

    class Handler(BaseHTTPRequestHandler):
        disable_nagle_algorithm = True

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            answer(self)

    server = QuietServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def send(content: bytes, status: int = 200, **headers: str) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://a:8000", "http://a:8000"),
        ("http://a:8000/v1/", "http://a:8000"),
        ("https://a/vllm", "https://a:443/vllm"),
        ("http://[::1]:80", "http://[::1]:80"),
        (" http://a ", "http://a:80"),
    ],
)
def test_addresses(url: str, name: str) -> None:
    assert Server(url).name == name


@pytest.mark.parametrize(
    "url",
    [
        "a:8000",
        "ftp://a",
        "http://",
        "http://a:x",
        "http://a:99999",
        "http://a?b=c",
        "http://a#b",
        "http://a b",
        "file:///etc",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UserError, match=r"engine_url.*give an address like http://host:8000"):
        Server(url)


def test_a_password_in_the_address_is_not_printed() -> None:
    with pytest.raises(UserError, match="holds a user or a password") as refusal:
        Server("http://me:hunter2@a:8000")
    assert "hunter2" not in str(refusal.value)


def test_a_redirect_is_not_followed() -> None:
    asked: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        asked.append(handler.path)
        send(b"", 302, Location="/elsewhere")(handler)

    with answering(answer) as url, pytest.raises(UserError, match="a redirect, which is not followed"):
        Server(url).get("/version")
    assert asked == ["/version"]


def test_a_reply_has_a_limit() -> None:
    long = send(b'"' + b"x" * (vllm_http._SMALL + 9) + b'"')
    with answering(long) as url, pytest.raises(UserError, match="sends more than 1,048,576 bytes"):
        Server(url).get("/v1/models")


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff\xfe", b"1" * 5000, b"", b"<html>"])
def test_what_is_no_json_is_text(content: bytes) -> None:
    with answering(send(content)) as url:
        reply = Server(url).get("/x")
    assert isinstance(reply.content, str)
    assert len(reply.said) <= 200


def test_what_is_no_http_is_told() -> None:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b"220 smtp ready\r\n")
        handler.close_connection = True

    with answering(answer) as url, pytest.raises(UserError, match=r"no reply \(.*smtp"):
        Server(url, waits=()).get("/version")


def test_nobody_there_and_a_server_that_stays_busy() -> None:
    with answering(send(b"")) as url:
        pass
    with pytest.raises(UserError, match="nothing listens there"):
        Server(url, waits=(0.0,)).get("/version")
    asked: list[int] = []

    def busy(handler: BaseHTTPRequestHandler) -> None:
        asked.append(1)
        send(b'{"error": {"message": "full"}}', 503)(handler)

    with answering(busy) as url:
        with pytest.raises(UserError, match=r"it answers 503 \(full\).*--resume"):
            Server(url, waits=(0.0, 0.01)).get("/version")
        assert len(asked) == 3
        with pytest.raises(UserError):
            Server(url).get("/version", patient=False)
    assert len(asked) == 4


def test_a_request_under_way_can_be_ended() -> None:
    free, asked = threading.Event(), threading.Event()

    def hang(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        free.wait(20)

    ends: list[BaseException] = []
    with answering(hang) as url:
        server = Server(url, timeout=60)

        def ask() -> None:
            try:
                server.get("/x")
            except BaseException as error:
                ends.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        assert asked.wait(20)
        server.halt()
        thread.join(20)
        free.set()
        assert [type(end) for end in ends] == [HaltedError]
        with pytest.raises(HaltedError):
            server.get("/x")
