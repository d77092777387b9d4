"""Look at the built site as readers do: `python -m studies.look` opens its pages in Chromium, wide and narrow, light and dark.

    make docs
    pip install playwright axe-playwright-python
    python -m studies.look --chromium /usr/bin/chromium --pages start methods/simko

Of each page it says what axe-core finds, whether it is wider than the window, and what did not load or came from elsewhere.
Screenshots land in build/look. It ends with exit code 1 if it found anything. The packages are only needed here.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from simko.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
WIDTHS = (360, 768, 1280)
SCHEMES = ("light", "dark")
PLACE = "/some/place/"
"""The site is served from here, not from the root of a server: nothing in it may assume the root."""
WHOLE = 2400
"""Pixels of height that a screenshot shows at most."""


class Server(SimpleHTTPRequestHandler):
    """Files of the site below `PLACE`, and nothing else. Silent."""

    def translate_path(self, path: str) -> str:
        """The file of an address; one that is not there for an address outside of `PLACE`."""
        if not path.startswith(PLACE):
            return str(Path(self.directory) / "not in the site")
        return super().translate_path("/" + path.removeprefix(PLACE))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The address of the site, while it is served on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PLACE}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def pages_of(site: Path) -> list[str]:
    """The pages of a built site, as addresses below its root. The first is the home page, which is the empty address."""
    found = (path.parent.relative_to(site).as_posix() for path in site.rglob("index.html"))
    return sorted("" if folder == "." else f"{folder}/" for folder in found)


def tools() -> tuple[Any, Any]:
    """`sync_playwright` and `Axe`, or one line that says what to install."""
    try:
        playwright = importlib.import_module("playwright.sync_api").sync_playwright
        axe = importlib.import_module("axe_playwright_python.sync_playwright").Axe
    except ImportError as error:
        raise UserError(
            f"studies.look: {error.name} is not here: pip install playwright axe-playwright-python"
        ) from error
    return playwright, axe


def violations(found: dict[str, Any]) -> Iterator[str]:
    """A line for each rule of axe-core that is broken: how often, and the first element with what would mend it."""
    for rule in found["violations"]:
        first = rule["nodes"][0]
        mend = " ".join(first.get("failureSummary", rule["help"]).split())
        yield f"{rule['id']} ({rule['impact']}), {len(rule['nodes'])} times: {first['html'][:150]}: {mend[:200]}"


def look(
    site: Path, out: Path, pages: list[str], chromium: str | None, widths: tuple[int, ...], schemes: tuple[str, ...]
) -> int:
    """Open every page at every width in every scheme, print what is wrong, and return how many things are."""
    sync_playwright, axe = tools()
    count = 0
    out.mkdir(parents=True, exist_ok=True)
    with served(site) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        for scheme in schemes:
            for width in widths:
                tab = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme).new_page()
                for page in pages:
                    for line in wrong(tab, axe(), address, page, width):
                        print(f"{page or 'home'} at {width}, {scheme}: {line}", flush=True)
                        count += 1
                    picture(tab, out / f"{page.strip('/').replace('/', '-') or 'home'}-{width}-{scheme}.png")
                tab.context.close()
        browser.close()
    return count


def wrong(tab: Any, axe: Any, address: str, page: str, width: int) -> list[str]:
    """Open a page, and return a line for each thing that is wrong with it."""
    found: list[str] = []
    watch = {
        "request": lambda it: (
            found.append(f"fetches {it.url}") if not it.url.startswith((address, "data:", "blob:")) else None
        ),
        "response": lambda it: found.append(f"{it.status} for {it.url}") if it.status >= 400 else None,
        "pageerror": lambda it: found.append(f"script: {it}"),
    }
    for event, listener in watch.items():
        tab.on(event, listener)
    tab.goto(address + page, wait_until="load")
    wide = tab.evaluate("document.documentElement.scrollWidth")
    if wide > width:
        found.append(f"the page is {wide} pixels wide")
    found += violations(axe.run(tab).response)
    for event, listener in watch.items():
        tab.remove_listener(event, listener)
    return found


def picture(tab: Any, path: Path) -> None:
    """A screenshot of the page as it is open, from its top."""
    height = min(WHOLE, tab.evaluate("document.documentElement.scrollHeight"))
    width = tab.viewport_size["width"]
    tab.screenshot(path=str(path), full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})


def main() -> int:
    """Read the flags, look, and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m studies.look", description="Look at the built site in Chromium.")
    parser.add_argument("--site", type=Path, default=ROOT / "build" / "site", help="folder of the built site")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "look", help="folder of the screenshots")
    parser.add_argument("--pages", nargs="+", help="such as how/head; all of them if not given")
    parser.add_argument("--widths", nargs="+", type=int, default=WIDTHS, help="in pixels")
    parser.add_argument("--schemes", nargs="+", choices=SCHEMES, default=SCHEMES)
    parser.add_argument("--chromium", default=shutil.which("chromium"), help="the browser; else Playwright's own")
    given = parser.parse_args()
    pages = pages_of(given.site)
    if not pages:
        raise UserError(f"studies.look: {given.site} holds no site: make docs")
    if given.pages:
        wanted = [f"{page.strip('/')}/".lstrip("/") for page in given.pages]
        if unknown := [page for page in wanted if page not in pages]:
            raise UserError(f"studies.look: {given.site} has no page '{unknown[0]}'; it has {', '.join(pages[1:])}")
        pages = wanted
    count = look(given.site, given.out, pages, given.chromium, tuple(given.widths), tuple(given.schemes))
    print(f"{len(pages)} pages, {len(given.widths)} widths, {len(given.schemes)} schemes: {count or 'no'} problems")
    print(f"screenshots in {given.out}")
    return bool(count)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UserError as error:
        sys.exit(f"error: {error}")
