"""How the blocks of a page are found, split into commands, and held against what they print."""

from __future__ import annotations

from pathlib import Path

import pytest
from blocks import blocks, commands, fences, logical_lines, simple
from command_lines import check_settings, flags_of, parsed
from page_session import PageSession

from simko.errors import UserError

PAGE = """# Title

```python
# mine.py
x = 1
```

<!-- run with: --steps 2 --logger none -->
<!-- exits with: 1 -->
```bash
simko train   # a comment, which isn't read
```

```text
reward ... 0.5
```

Words.

```text
a drawing
```

<!-- a table -->
<!-- not run: needs a GPU -->
```sh
simko plan
```
"""


def test_blocks_have_what_stands_round_them() -> None:
    file, train, output, drawing, plan = blocks(PAGE)
    assert (file.kind, file.file, file.line, file.expected, file.reason, file.code) == (
        "python",
        "mine.py",
        3,
        None,
        None,
        0,
    )
    assert (train.more, train.code, train.expected, train.line) == (
        ("--steps", "2", "--logger", "none"),
        1,
        output.text,
        10,
    )
    assert train.loose
    assert blocks("<!-- run with: a -->\n<!-- run with: b c -->\n```bash\nx\n```\n")[0].more == ("a", "b", "c")
    assert not file.loose
    assert blocks("<!-- numbers may differ -->\n```bash\nx\n```\n")[0].loose
    assert drawing.expected is None
    assert plan.reason == "needs a GPU"
    assert fences(PAGE) == 10
    assert fences("- a list\n  ```\n  x\n  ```\n") == 2


def test_lines_of_a_shell_block() -> None:
    assert logical_lines("# it's\n\nsimko train \\\n  --steps 2  # so\nsimko x 'a # b' c#d\n") == [
        "simko train    --steps 2",
        "simko x 'a # b' c#d",
    ]


@pytest.mark.parametrize(
    "line", ["simko verify explain '$x > 2$' \"a; b\"", "simko env look --data rows.csv --columns a=b,c=d:#"]
)
def test_plain_commands_run_here(line: str) -> None:
    assert simple(line)


@pytest.mark.parametrize(
    "line", ["a | b", "a > b", "a && b", "a $B", 'a "$B"', "a `b`", "a *.json", "a; b", "a &", "a ~/b", "a {b,c}"]
)
def test_what_a_shell_would_read_goes_to_the_shell(line: str) -> None:
    assert not simple(line)


def test_commands_in_pipes_and_lists() -> None:
    text = 'cd x && simko plan --memory 8GB | tail -n 1\nX=1 simko env list > file; simko "a b"\necho simko x\n'
    assert list(commands(text)) == [["plan", "--memory", "8GB"], ["env", "list"], ["a b"]]


@pytest.mark.parametrize(
    "words",
    [
        "train --steps 2 --alpha 0.5",
        "train --help",
        "compare runs/a runs/b --reference a",
        "train --algorithm mine:x --bonus 2",
        "env check x:my/X-v0 --level 2",
    ],
)
def test_commands_that_exist(words: str) -> None:
    parsed(words.split())


@pytest.mark.parametrize(
    "words", ["trian", "train --stesp 2", "env", "eval", "env check x --nothing", "compare a --nothing 2"]
)
def test_commands_that_do_not_exist(words: str) -> None:
    with pytest.raises(Exception, match=r"."):
        parsed(words.split())


def test_flags_of_a_command() -> None:
    assert {"--steps", "--logger", "--alpha"} <= flags_of(["train", "--env", "x"])
    assert "--steps" not in flags_of(["env", "check", "x"])


@pytest.mark.parametrize(
    "content",
    ["stesp: 2\nsteps: 3\n", "arms: {a: {alhpa: 1}}\n", "common: {steps: -1}\narms: {a: {}}\n", "steps: many\n"],
)
def test_wrong_settings_are_refused(content: str, tmp_path: Path) -> None:
    with pytest.raises(UserError):
        check_settings(content, tmp_path)


@pytest.fixture
def session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PageSession:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.syspath_prepend(tmp_path / "work")
    return PageSession("page.md", tmp_path / "work")


def test_output_is_compared_with_the_page(session: PageSession) -> None:
    (block,) = blocks("```python\nprint('step 1  reward 0.25')\n```\n")
    screen = session.follow(block)
    assert screen.shows("step 1  reward 0.25\n", loose=False)
    assert screen.shows("step ... 0.25\n", loose=False)
    assert not screen.shows("step 1  reward 0.26\n", loose=False)
    assert screen.shows("step 30 reward 0.4\n", loose=True)
    assert not screen.shows("step 1 loss 0.25\n", loose=True)
    assert screen.shows("...\nstep 1  reward 0.25\n...\n", loose=False)
    assert not screen.shows("...\nstep 2  ...\n", loose=False)
    assert not screen.shows("step 1 ...\nmore\n", loose=False)


def test_a_block_that_ends_otherwise_is_told_with_its_line(session: PageSession) -> None:
    (block,) = blocks("\n```bash\nsimko env show simko/Nothing-v0\n```\n")
    with pytest.raises(AssertionError, match=r"page\.md:2: exit code 2(.|\n)*no environment 'simko/Nothing-v0'"):
        session.follow(block)
    (block,) = blocks("<!-- exits with: 3 -->\n```bash\necho a >&2 && exit 3\n```\n")
    assert session.follow(block).shows("a\n", loose=False)


def test_words_that_no_line_takes_are_refused(session: PageSession) -> None:
    (block,) = blocks("<!-- run with: --steps 2 -->\n```bash\nsimko env list\n```\n")
    with pytest.raises(AssertionError, match="no line takes --steps 2"):
        session.follow(block)


def test_python_blocks_share_names_and_a_second_version_of_a_file_is_read(session: PageSession) -> None:
    page = "\n".join(
        f"```python\n{text}\n```\n" for text in ("# mine.py\nx = 1", "import mine\ny = mine.x", "# mine.py\nx = 2")
    )
    for block in blocks(page):
        session.follow(block)
    assert session.namespace["y"] == 1
    (block,) = blocks("```python\nimport mine\nprint(mine.x, y)\n```\n")
    assert session.follow(block).shows("2 1\n", loose=False)
    session.forget()
