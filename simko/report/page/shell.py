"""The page around the sections: head, policy of what it may load (nothing), landmarks, style and script."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

from simko.report.page.escape import esc, line


@dataclass(frozen=True)
class Section:
    """A section with its heading; `body` is HTML. One with an empty body is left out."""

    id: str
    title: str
    body: str


def html_page(title: str, lead: str, sections: Sequence[Section], refresh: bool = False) -> str:
    """The whole document. `lead` is HTML below the heading; with `refresh` the script loads the page anew while nobody reads."""
    sections = [section for section in sections if section.body]
    links = "".join(f'<li><a href="#{s.id}">{esc(s.title)}</a></li>' for s in sections)
    blocks = "".join(
        f'<section id="{s.id}" aria-labelledby="h-{s.id}"><h2 id="h-{s.id}">{esc(s.title)}</h2>{s.body}</section>'
        for s in sections
    )
    control = '<p class="needs-script" hidden><label><input type="checkbox" id="refresh" checked> Load anew while the run goes on'
    return (
        f'<!DOCTYPE html>\n<html lang="en"{" data-refresh" if refresh else ""}>\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy()}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="referrer" content="no-referrer">\n'
        '<meta name="color-scheme" content="light dark">\n<link rel="icon" href="data:,">\n'
        f"<title>{line(title)}</title>\n<style>{_file('page.css')}</style>\n</head>\n<body>\n"
        f'<header><a class="skip" href="#main">Skip to the results</a><h1>{line(title)}</h1>{lead}'
        f"{control + '</label></p>' if refresh else ''}</header>\n"
        f'<nav aria-label="Sections"><ol>{links}</ol></nav>\n<main id="main">{blocks}</main>\n'
        "<footer><p>Made by <code>simko report</code>. The file loads nothing from anywhere.</p></footer>\n"
        f"<script>{_file('page.js')}</script>\n</body>\n</html>\n"
    )


@cache
def policy() -> str:
    """Content-Security-Policy: this style and this script, the empty icon, and nothing else."""
    return (
        f"default-src 'none'; style-src {_hash('page.css')}; script-src {_hash('page.js')}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def _file(name: str) -> str:
    return (files("simko.report.page") / name).read_text(encoding="utf-8")


def _hash(name: str) -> str:
    return f"'sha256-{b64encode(sha256(_file(name).encode()).digest()).decode()}'"
