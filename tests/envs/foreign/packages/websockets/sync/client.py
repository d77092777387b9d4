"""A stand-in for websockets.sync.client: lines over a plain socket."""

from __future__ import annotations

import socket
from typing import Any
from urllib.parse import urlsplit


class Connection:
    def __init__(self, place: tuple[str, int], open_timeout: float) -> None:
        self.socket = socket.create_connection(place, open_timeout)
        self.pending = b""

    def __enter__(self) -> Connection:
        return self

    def send(self, message: str) -> None:
        self.socket.sendall(message.encode() + b"\n")

    def recv(self, timeout: float) -> str:
        self.socket.settimeout(timeout)
        while b"\n" not in self.pending:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionError("closed")
            self.pending += chunk
        line, _, self.pending = self.pending.partition(b"\n")
        return line.decode()

    def close(self) -> None:
        self.socket.close()


def connect(uri: str, *, open_timeout: float, **more: Any) -> Connection:
    assert set(more) <= {"close_timeout", "ping_interval", "max_size", "proxy"}
    parts = urlsplit(uri)
    assert parts.path.endswith("/ws")
    return Connection((str(parts.hostname), int(parts.port or 0)), open_timeout)
