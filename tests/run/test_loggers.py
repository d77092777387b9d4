"""TensorBoard, W&B and trackio: one set of names, a bounded and harmless table, the curve, and a run that goes on."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from simko.report.bands import Band
from simko.report.plot import plot_curves
from simko.run import tracker as tracker_module
from simko.run.logged import COLUMNS, completion_rows
from simko.run.loggers import ModuleLogger, as_code, as_entities
from simko.run.tracker import Tracker
from simko.types import Completion, Group, Task, Verdict

HOSTILE = (
    "\x1b]0;title\x07\x1b[2J\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\x1b]52;c;aGk=\x07\u202eevil\u2066\u200b\ud800"
    "<script>alert(1)</script>[a](javascript:alert(1))|x|\n# head\n```\n"
)


def answer(text: str, outcome: str = "correct", reward: float = 1.0) -> Completion:
    ids = np.arange(2)
    verdict = Verdict(outcome, reward, text[:5000])  # type: ignore[arg-type]
    return Completion(ids, ids, np.zeros(2, np.float32), np.ones(2, np.bool_), text, "stop", verdict)


def group(name: str, *answers: Completion) -> Group:
    return Group(Task(name, f"problem {name}", "gold"), answers)


def png(folder: Path) -> Path:
    curve = Band("x", (1, 2), *(np.array([0.25, 0.5]) for _ in range(3)), seeds=1, problems=2)
    return plot_curves([curve], folder / "curve.png", "title")


class Module(SimpleNamespace):
    """W&B's or trackio's module, as far as it is used."""

    def __init__(self, name: str, refuses: str = "") -> None:
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.started: dict[str, Any] = {}
        self.finished = 0
        self.refuses = refuses
        super().__init__(__name__=name)

    def init(self, **options: Any) -> None:
        self.started = options

    def log(self, values: dict[str, Any], step: int) -> None:
        if self.refuses in values:
            raise ValueError(f"cannot take {self.refuses}")
        self.logged.append((step, values))

    def Table(self, columns: list[str], data: list[list[Any]]) -> Any:  # noqa: N802
        return SimpleNamespace(columns=columns, data=data)

    def Image(self, path: str) -> Any:  # noqa: N802
        return SimpleNamespace(size=len(Path(path).read_bytes()))

    def finish(self) -> None:
        self.finished += 1


def test_rows_are_few_right_and_wrong_and_harmless() -> None:
    wrong = answer("no", "incorrect", 0.0)
    groups = [group(str(i), wrong, wrong, answer("yes"), answer("too")) for i in range(9)]
    rows = completion_rows(7, groups)
    assert [(row[1], row[2], row[3]) for row in rows] == [
        (f"problem {i}", *which) for i in range(4) for which in ((0, "incorrect"), (2, "correct"))
    ]
    (row, _) = completion_rows(7, [group("a", answer(HOSTILE + "x" * 10**6 + "END"), answer("b"))])
    text = row[COLUMNS.index("text")]
    assert len(text) < 2100
    assert text.endswith("xEND")
    assert "characters ...]" in text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\ud800-\udfff]", text)
    assert completion_rows(1, [group("none")]) == []


@pytest.mark.filterwarnings("ignore:html5lib:DeprecationWarning")  # inside of tensorboard
def test_tensorboard_reads_what_was_written(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.text.text_plugin import text_array_to_html
    from tensorboard.util import tensor_util

    picture = png(tmp_path)
    tracker = Tracker("tensorboard", tmp_path, {"checkpoint_every": 2, "steps": 3}, 0)
    for step in (1, 2, 3):
        tracker.log(step, {"reward": 0.5, "none": None}, [group("a", answer(HOSTILE), answer("b"))])
    tracker.curve(3, picture)
    tracker.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("reward")] == [1, 2, 3]
    tables = events.Tensors("completions")
    assert [event.step for event in tables] == [2, 3]
    assert events.SummaryMetadata("completions").plugin_data.plugin_name == "text"
    cells = tensor_util.make_ndarray(tables[0].tensor_proto)
    assert cells.shape == (3, len(COLUMNS))
    assert [cell.decode() for cell in cells[0]] == list(COLUMNS)
    page = text_array_to_html(cells, enable_markdown=True)
    assert "<script" not in page
    assert "<a" not in page
    assert "&lt;script&gt;alert(1)" in page
    (image,) = events.Images("pass_at_k")
    assert (image.step, image.width, image.height) == (3, 1520, 880)
    assert image.encoded_image_string == picture.read_bytes()


@pytest.mark.parametrize("kind", ["wandb", "trackio"])
def test_the_modules_get_the_same_names(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = Module(kind)
    monkeypatch.delenv("WANDB_DIR", raising=False)
    monkeypatch.setattr(tracker_module.importlib, "import_module", lambda name: module if name == kind else None)
    tracker = Tracker(kind, tmp_path, {"checkpoint_every": 5, "steps": 2, "env": "e"}, 0)
    tracker.log(1, {"reward": 0.5, "none": None}, [group("a", answer("1 < 2"))])
    tracker.log(2, {"reward": 0.25}, [group("a", answer("1 < 2"))])
    tracker.curve(2, png(tmp_path))
    tracker.close()
    place = {"dir": str(tmp_path)} if kind == "wandb" else {}
    assert module.started == {
        "project": "simko", "name": tmp_path.name, "config": {"checkpoint_every": 5, "steps": 2, "env": "e"}, **place,
    }  # fmt: skip
    assert [(step, list(values)) for step, values in module.logged] == [
        (1, ["reward"]), (2, ["reward"]), (2, ["completions"]), (2, ["pass_at_k"]),
    ]  # fmt: skip
    table = module.logged[2][1]["completions"]
    text = "1 < 2" if kind == "wandb" else "1 &#60; 2"
    assert (table.columns, table.data) == (list(COLUMNS), [[2, "problem a", 0, "correct", 1.0, text, text]])
    assert module.finished == 1


def test_wandb_goes_where_its_variable_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    module = Module("wandb")
    ModuleLogger(module, tmp_path, {})
    assert "dir" not in module.started


def test_a_table_that_fails_costs_no_scalars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = Module("trackio", refuses="completions")
    monkeypatch.setattr(tracker_module.importlib, "import_module", lambda _: module)
    tracker = Tracker("trackio", tmp_path, {"checkpoint_every": 1}, 0, Console(file=(out := io.StringIO()), width=300))
    for step in (1, 2):
        tracker.log(step, {"reward": 0.5}, [group("a", answer("b"))])
    tracker.curve(2, tmp_path / "missing.png")
    tracker.close()
    assert [step for step, _ in module.logged] == [1, 2]
    first, second = out.getvalue().splitlines()
    assert first == (
        "fault: logger trackio: the completions table failed (cannot take completions); the run goes on without that"
    )
    assert "the pass@K curve failed" in second
    assert module.finished == 1


def test_a_logger_that_fails_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / "tensorboard").write_text("in the way")
    tracker = Tracker(
        "tensorboard", tmp_path, {"checkpoint_every": 1}, 0, Console(file=(out := io.StringIO()), width=300)
    )
    for step in (1, 2):
        tracker.log(step, {"reward": 0.5}, [group("a", answer("b"))])
    tracker.curve(2, tmp_path / "x.png")
    tracker.close()
    (line,) = out.getvalue().splitlines()
    assert line.startswith("fault: logger tensorboard failed (")


def test_markdown_and_pages_read_nothing_in_a_text() -> None:
    assert as_code("a\n# b\n") == "    a\n    # b\n    "
    assert as_entities("<b>*é* 1.5, x") == "&#60;b&#62;&#42;é&#42; 1.5, x"


@pytest.mark.parametrize("kind", ["wandb", "trackio"])
def test_the_real_module_takes_it_all(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.delenv("WANDB_DIR", raising=False)
    pytest.importorskip(kind)
    run = tmp_path / "run"
    run.mkdir()
    tracker = Tracker(kind, run, {"checkpoint_every": 1}, 0, Console(file=(out := io.StringIO()), width=300))
    tracker.log(1, {"reward": 0.5}, [group("a", answer(HOSTILE))])
    tracker.curve(1, png(tmp_path))
    tracker.close()
    assert out.getvalue() == ""
    if kind == "wandb":
        assert list(run.glob("wandb/offline-run-*/*.wandb"))
        assert len(list(run.glob("wandb/offline-run-*/files/media/**/*.*"))) == 2
