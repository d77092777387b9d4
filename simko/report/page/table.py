"""Tables of the page: cells are HTML that is safe already."""

from __future__ import annotations

from collections.abc import Sequence


def html_table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """A table in a box that scrolls sideways; the first cell of each row is its header."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{"".join(f"<td>{cell}</td>" for cell in row[1:])}</tr>' for row in rows
    )
    attribute = f' class="{kind}"' if kind else ""
    return (
        f'<div class="wide" tabindex="0" role="group" aria-label="{caption}"><table{attribute}><caption>{caption}</caption>'
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def folded(summary: str, inner: str, open_: bool = False) -> str:
    """What a reader opens."""
    return f"<details{' open' if open_ else ''}><summary>{summary}</summary>{inner}</details>"


def numbers(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A folded table of the numbers behind a picture."""
    return folded(f"Numbers: {caption}", html_table(caption, head, rows, "num"))


def percent(value: float | None, digits: int = 1) -> str:
    """A share in percent."""
    return "–" if value is None else f"{100 * value:.{digits}f}"


def interval(row: Sequence[float]) -> str:
    """Mean and band in percent."""
    return f"{percent(row[0])} <small>[{percent(row[1])}, {percent(row[2])}]</small>"
