"""The page over loopback: one page, this machine's names alone, and new content when the run goes on."""

from __future__ import annotations

from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import pytest

from simko.errors import UserError
from simko.report.page.serve import HOST, server


class Source:
    def __init__(self) -> None:
        self.mark, self.made, self.error = 1, 0, ""

    def make(self) -> tuple[object, object]:
        if self.error:
            raise UserError(self.error)

        def page() -> str:
            self.made += 1
            return f"page {self.mark}"

        return self.mark, page


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def port(source: Source) -> Iterator[int]:
    with server(source.make) as httpd:  # type: ignore[arg-type]
        assert httpd.server_address[0] == HOST
        thread = Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield httpd.server_address[1]
        httpd.shutdown()
        thread.join()


def get(port: int, path: str = "/", host: str | None = None, method: str = "GET") -> tuple[int, str, dict[str, str]]:
    connection = HTTPConnection(HOST, port, timeout=20)
    connection.request(method, path, headers={} if host is None else {"Host": host})
    answer = connection.getresponse()
    result = answer.status, answer.read().decode(), dict(answer.getheaders())
    connection.close()
    return result


def test_the_page_is_made_again_when_the_run_has_gone_on(source: Source, port: int) -> None:
    assert get(port)[:2] == (200, "page 1")
    assert get(port)[:2] == (200, "page 1")
    assert source.made == 1
    source.mark = 2
    assert get(port)[1] == "page 2"
    assert source.made == 2


def test_no_other_file_is_served(port: int, tmp_path: Path) -> None:
    for path in ("/x", "/../../etc/passwd", "//etc/passwd", f"/{tmp_path}", "/?a=1", "/%2e%2e/", "/favicon.ico"):
        status, body, _ = get(port, path)
        assert status == 404
        assert "page" in body
        assert "root:" not in body
    assert get(port, method="POST")[0] == 501


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "", "127.0.0.1.evil.example", "[::1]"]
)
def test_another_name_is_refused(source: Source, port: int, host: str) -> None:
    assert get(port, host=host)[0] == 421
    assert source.made == 0
    assert get(port, host=f"localhost:{port}")[0] == 200


def test_headers_forbid_what_the_page_does_not_need(port: int) -> None:
    headers = get(port)[2]
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    status, body, headers = get(port, method="HEAD")
    assert (status, body, headers["Content-Length"]) == (200, "", "6")


def test_a_run_that_is_gone_is_said(source: Source, port: int) -> None:
    source.error = "no such\nfolder"
    assert get(port)[:2] == (503, "no such folder\n")


def test_a_port_that_is_taken_is_one_line(port: int, source: Source) -> None:
    with pytest.raises(UserError, match=f"port {port}.*give another --port"):
        server(source.make, port)  # type: ignore[arg-type]
