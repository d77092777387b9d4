"""Every answer of an evaluation on disk: `<result>.samples.jsonl.gz` beside the result, a line a sample.

| key | value |
|---|---|
| `side` | `trained`: what was evaluated; `base`: its base model, on the same problems |
| `task`, `problem`, `system`, `gold` | the problem; `system` only where there is a system message |
| `sample` | number of the sample, from 0 |
| `text`, `finish`, `tokens` | the answer, `stop` or `length` (cut off at the budget), how many tokens the policy sampled |
| `outcome`, `reward`, `extracted` | the verdict |

The trained side comes first; in it one problem after the other, in the order of the result's `counts`. The same evaluation
gives the same bytes on the same machine.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from simko.errors import UserError
from simko.files import whole_file
from simko.run.records import typed_row, unpacked_lines
from simko.types import OUTCOMES, Group

Side = Literal["trained", "base"]
Keep = Callable[[Side, Sequence[Group], int], None]
SUFFIX = ".samples.jsonl.gz"
_LONGEST_FILE = 1 << 37
_ROW: dict[str, Any] = {
    **{"side": str, "task": str, "problem": str, "gold": str, "sample": int, "text": str, "finish": str},
    **{"tokens": int, "outcome": str, "reward": int | float | None, "extracted": str | None},
}


@contextmanager
def keeping_samples(path: Path) -> Iterator[Keep]:
    """Yield `keep(side, groups, first)`: it writes graded answers, of which `first` is the number of the first of each group.

    The file has its name only when the block ends well. Raises `OSError`.
    """
    packer = zlib.compressobj(6, zlib.DEFLATED, 31)  # 31: a gzip header, without a time
    with whole_file(path) as write:

        def keep(side: Side, groups: Sequence[Group], first: int) -> None:
            for row in _rows(side, groups, first):
                line = json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"
                write(packer.compress(line.encode("utf-8", "surrogatepass")))

        yield keep
        write(packer.flush())


def read_samples(path: str | Path) -> Iterator[dict[str, Any]]:
    """The lines of a file of samples, one after the other; each is checked by type and size.

    Raises:
        UserError: the file is not there, damaged, or not of this form.
    """
    try:
        with gzip.open(path, "rb") as packed:
            for line in unpacked_lines(packed, _LONGEST_FILE):
                yield _row(line)
    except (OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else f"damaged, cannot be read ({error})"
        raise UserError(f"{path}: {why}; evaluate again with `simko eval`") from error


def _row(line: bytes) -> dict[str, Any]:
    row = typed_row(line, _ROW)
    for name, allowed in (("side", ("trained", "base")), ("outcome", OUTCOMES), ("finish", ("stop", "length"))):
        if row[name] not in allowed:
            raise ValueError(f"a line's {name} is {row[name]!r:.40}")
    if isinstance(row["sample"], bool) or row["sample"] < 0 or row["tokens"] < 0:
        raise ValueError(f"a line's sample is {row['sample']!r:.40}, its tokens are {row['tokens']!r:.40}")
    return row


def _rows(side: Side, groups: Sequence[Group], first: int) -> Iterator[dict[str, Any]]:
    for group in groups:
        task = group.task
        for number, c in enumerate(group.completions, first):
            yield {
                "side": side,
                "task": task.id,
                "problem": task.problem,
                **({} if task.system is None else {"system": task.system}),
                "gold": task.gold,
                "sample": number,
                "text": c.text,
                "finish": c.finish,
                "tokens": int(c.sampled.sum()),
                "outcome": c.verdict.outcome,
                "reward": c.verdict.reward if math.isfinite(c.verdict.reward) else None,
                "extracted": c.verdict.extracted,
            }
