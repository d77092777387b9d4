"""HTTP with a vLLM server: JSON both ways, over the standard library. Nothing that the server says is trusted.

A reply has a size limit, a redirect is not followed, and a proxy of the environment is not used. Each request has a connection
of its own: one that was kept may be closed by the server at any time, which reads like a server that died.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from simko.console import one_line
from simko.errors import UserError

KEY = "SIMKO_ENGINE_KEY"
WAITS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # seconds before each further try of a request that failed
_BUSY = (429, 502, 503, 504)
_CONNECT_SECONDS = 10.0
_SMALL = 2**20  # bytes of a reply that holds no answer


class HaltedError(Exception):
    """The request was given up, because the call that it belongs to has ended."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and JSON content of a reply; `content` is text where it is not JSON."""

    status: int
    content: Any

    @property
    def said(self) -> str:
        """What the server says for a person, in one line of at most 200 characters."""
        error = self.content.get("error", self.content) if isinstance(self.content, dict) else self.content
        text = error.get("message", error) if isinstance(error, dict) else error
        return one_line(str(text))[:200] or "nothing"


class Server:
    """A server at `url`, as `http://host:8000`, or with a path before `/v1`.

    Args:
        url: http or https.
        timeout: seconds to wait for a reply.
        waits: seconds before each further try; `WAITS` where None.

    Raises:
        UserError: the URL is not one, or holds a password.
    """

    def __init__(self, url: str, timeout: float = 600.0, waits: tuple[float, ...] | None = None) -> None:
        self._timeout, self._waits = timeout, WAITS if waits is None else waits
        self._secure, self._host, self._port, self._path = _parts(url)
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.name = f"{'https' if self._secure else 'http'}://{host}:{self._port}{self._path}"
        self._headers = {"Accept": "application/json", "Connection": "close"}
        if key := os.environ.get(KEY):
            if not (key.isascii() and key.isprintable()):
                raise UserError(f"engine vllm-server: {KEY} holds a character that no key has; set it again")
            self._headers["Authorization"] = f"Bearer {key}"
        self._lock = threading.Lock()
        self._live: set[http.client.HTTPConnection] = set()
        self._halted = threading.Event()

    def get(self, path: str, patient: bool = True) -> Reply:
        """Ask for a path."""
        return self._request("GET", path, None, _SMALL, patient, self._timeout)

    def post(
        self,
        path: str,
        content: Mapping[str, Any],
        limit: int = _SMALL,
        patient: bool = True,
        timeout: float | None = 0.0,
    ) -> Reply:
        """Send JSON. A reply has at most `limit` bytes.

        `timeout` 0 stands for the server's own; with None it waits as long as the connection lives, which `halt` ends.

        A request that gets no reply, or is told to come again, is sent again: sampling with a seed and loading by a name can be
        repeated. If not `patient`, it is not.

        Raises:
            UserError: no reply, one that is too long, a redirect, or a key that is refused.
            HaltedError: `halt` was called.
        """
        body = json.dumps(content, allow_nan=False).encode()
        return self._request("POST", path, body, limit, patient, self._timeout if timeout == 0 else timeout)

    def halt(self) -> None:
        """End all requests under way; the server then stops to decode for them. `resume` allows new ones."""
        self._halted.set()
        with self._lock:
            for connection in self._live:
                if connection.sock is not None:
                    try:
                        connection.sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads
                    except OSError:
                        continue

    def resume(self) -> None:
        """Allow requests again."""
        self._halted.clear()

    def _request(
        self, method: str, path: str, body: bytes | None, limit: int, patient: bool, timeout: float | None
    ) -> Reply:
        failure = ""
        for wait in (None, *(self._waits if patient else ())):
            if self._halted.wait(wait) if wait else self._halted.is_set():
                raise HaltedError
            try:
                reply = self._once(method, path, body, limit, timeout)
            except (OSError, http.client.HTTPException) as error:
                if self._halted.is_set():
                    raise HaltedError from error
                failure = self._explain(error)
                continue
            if reply.status not in _BUSY:
                return self._admitted(reply)
            failure = f"it answers {reply.status} ({reply.said})"
        raise UserError(
            f"engine vllm-server: {self.name}: {failure}; look at its log, start it (again), then start the run, or go on with "
            "--resume"
        )

    def _once(self, method: str, path: str, body: bytes | None, limit: int, timeout: float | None) -> Reply:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=_CONNECT_SECONDS)
        with self._lock:
            self._live.add(connection)
        try:
            connection.connect()
            assert connection.sock is not None
            connection.sock.settimeout(timeout)
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # a machine that is gone says nothing
            headers = self._headers | ({} if body is None else {"Content-Type": "application/json"})
            connection.request(method, self._path + path, body, headers)
            try:
                response = connection.getresponse()
                content = response.read(limit + 1)
            except TimeoutError as error:
                raise UserError(
                    f"engine vllm-server: {self.name}: no answer within {timeout:g} s; raise --engine-timeout, or see "
                    "whether the server is stuck"
                ) from error
            if len(content) > limit:
                raise UserError(
                    f"engine vllm-server: {self.name}{path} sends more than {limit:,} bytes; is it a vLLM server?"
                )
            if response.length:
                raise http.client.IncompleteRead(content, response.length)
            return Reply(response.status, _json(content))
        finally:
            with self._lock:
                self._live.discard(connection)
            connection.close()

    def _admitted(self, reply: Reply) -> Reply:
        if reply.status in (401, 403):
            raise UserError(
                f"engine vllm-server: {self.name} refuses the key ({reply.status}); set {KEY} to the server's --api-key"
            )
        if 300 <= reply.status < 400:
            raise UserError(
                f"engine vllm-server: {self.name} answers with a redirect, which is not followed; give the address of the "
                "server itself as --engine-url"
            )
        return reply

    def _explain(self, error: Exception) -> str:
        if isinstance(error, ssl.SSLCertVerificationError):
            raise UserError(
                f"engine vllm-server: {self.name}: its certificate is not trusted ({one_line(error.verify_message)}); add it to "
                "the system's, or set SSL_CERT_FILE"
            ) from error
        if isinstance(error, ConnectionRefusedError):
            return "nothing listens there (connection refused)"
        if isinstance(error, TimeoutError):
            return f"no connection within {_CONNECT_SECONDS:g} s"
        return f"no reply ({one_line(str(error) or type(error).__name__)[:150]})"


def _parts(url: str) -> tuple[bool, str, int, str]:
    """Whether it is https, host, port, and the path before `/v1`, without a slash at its end."""
    try:
        parts = urlsplit(url.strip())
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise UserError(f"engine_url: {one_line(str(error))[:100]}; give an address like http://host:8000") from error
    if parts.username is not None or parts.password is not None:  # nothing of it is printed
        raise UserError(f"engine_url holds a user or a password; leave them out, and give a key in the variable {KEY}")
    plain = (
        not (parts.query or parts.fragment) and url.isascii() and url.strip().isprintable() and " " not in url.strip()
    )
    if parts.scheme not in ("http", "https") or not host or not plain:
        raise UserError(f"engine_url is '{one_line(url)[:100]}'; give an address like http://host:8000")
    path = parts.path.rstrip("/")
    return parts.scheme == "https", host, port or (443 if parts.scheme == "https" else 80), path.removesuffix("/v1")


def _json(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content[:2000].decode(errors="replace")
