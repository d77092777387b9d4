"""Rows of a CSV or TSV file: a header line, then a row a line; every value is text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from simko.envs.data.rows import MAX_LINE, Sieve, utf8
from simko.errors import UserError


def read_csv(path: Path, sieve: Sieve | None = None) -> Iterator[tuple[int, dict[str, Any]]]:
    """The line number and the columns of each row. Blank lines are skipped, and an empty cell is no value.

    The cells of `.csv` are parted by commas, or by semicolons where the header has no comma (as spreadsheets of many countries
    write them); those of `.tsv` by tabs. A row with more or fewer cells than the header goes to `sieve`.

    Raises:
        UserError: the file cannot be read, or its header has an empty or a repeated name.
    """
    sieve = sieve or Sieve()
    try:
        text = utf8(path.read_bytes(), path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); give a .csv file that exists") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason}); save the file as UTF-8") from error
    header, _, _ = text.partition("\n")
    delimiter = "\t" if path.suffix.lower() == ".tsv" else ";" if ";" in header and "," not in header else ","
    csv.field_size_limit(MAX_LINE)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = [name.strip() for name in next(lines, [])]
        if not names or not all(names) or len(set(names)) < len(names):
            raise UserError(f"{path}:1: the header is {names!r:.80}; give each column a name of its own")
        before = lines.line_num
        for cells in lines:
            number, before = before + 1, lines.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(names):
                mend = 'put a cell that holds the delimiter into "double quotes"'
                sieve.refuse(f"{path}:{number}: the row has {len(cells)} cells, and the header {len(names)}; {mend}")
                continue
            yield number, {name: cell or None for name, cell in zip(names, cells, strict=True)}
    except csv.Error as error:
        raise UserError(
            f"{path}:{lines.line_num}: not CSV ({error}); save the table again as CSV, or as .jsonl"
        ) from error
