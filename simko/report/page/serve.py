"""The report over loopback: one page, made anew when the run has gone on. No other file is served."""

from __future__ import annotations

from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from typing import Any

from simko.console import one_line
from simko.errors import UserError
from simko.report.page.shell import policy

HOST = "127.0.0.1"


def server(make: Callable[[], tuple[Any, Callable[[], str]]], port: int = 0) -> ThreadingHTTPServer:
    """A server of `/` on 127.0.0.1 alone. `make` returns a mark of the content, and what makes the page if the mark is new.

    A request whose Host is another name is refused: a page elsewhere could point its own name at this machine. Port 0 is any.

    Raises:
        UserError: the port is taken or not allowed.
    """
    lock = Lock()
    cache: dict[str, Any] = {}

    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "simko", ""

        def do_GET(self) -> None:  # the name that http.server calls
            bound = self.request.getsockname()[1]
            if self.headers.get("Host", "").lower() not in {f"{name}:{bound}" for name in (HOST, "localhost")}:
                self._send(421, "text/plain", b"this page is served as 127.0.0.1 and localhost only\n")
            elif self.path != "/":
                self._send(404, "text/plain", b"there is one page, at /\n")
            else:
                try:
                    with lock:
                        mark, page = make()
                        if cache.get("mark") != mark or mark is None:
                            cache.update(mark=mark, page=page().encode("utf-8", "replace"))
                        body = cache["page"]
                except UserError as error:
                    self._send(503, "text/plain", f"{one_line(str(error))}\n".encode("utf-8", "replace"))
                else:
                    self._send(200, "text/html", body)

        do_HEAD = do_GET  # noqa: N815

        def _send(self, code: int, kind: str, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Content-Security-Policy", f"{policy()}; frame-ancestors 'none'")
            for name, value in (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "no-referrer"),
                                ("Cache-Control", "no-store"), ("Cross-Origin-Resource-Policy", "same-origin")):  # fmt: skip
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: a request may hold anything."""

    try:
        return ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        raise UserError(f"report: port {port}: {getattr(error, 'strerror', error)}; give another --port") from error
