"""The folder of a comparison: whole files, equal bytes, a CSV that csv reads, and names that do no harm."""

from __future__ import annotations

import csv
import io
import json
from hashlib import sha256
from pathlib import Path

import pytest
from fake_arms import arm, noisy
from rich.console import Console

from simko.errors import UserError
from simko.report import comparison_plot, frontier
from simko.report.arms import load
from simko.report.comparable import comparisons, one_comparison
from simko.report.comparison import results_of
from simko.report.comparison_csv import COLUMNS, csv_text
from simko.report.comparison_folder import FILES, write, write_all
from simko.report.comparison_table import comparison_table, conclusions, doubts, markdown_table
from simko.report.labels import csv_cell, label, markdown_cell
from simko.report.measured import Measured

HOSTILE = (
    "=1+2", "-x", "@a", "a,b", 'q"q', "a|b", "\x1b[31mred", "two\nlines", "<script>", "\u202eleft", "[red]", "\ud800", "",
    "n" * 90,
)  # fmt: skip


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures have a test file of their own, and take most of the time."""
    for module, name in (
        (comparison_plot, "draw_pass"),
        (comparison_plot, "draw_differences"),
        (frontier, "draw_frontier"),
    ):
        monkeypatch.setattr(module, name, lambda result: b"png")


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def study(arms: tuple[str, ...] = ("grpo", "simko", "base"), seeds: int = 2) -> list[Measured]:
    return [noisy(name, seed, 0.05 * i, tokens_per_answer=8.0) for i, name in enumerate(arms) for seed in range(seeds)]


def shown(result: dict, width: int = 80) -> str:
    out = io.StringIO()
    Console(file=out, width=width).print(comparison_table(result), highlight=False)
    return out.getvalue()


def test_equal_arguments_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, study(), plan={"seeds": [0, 1]}, commands=["simko compare"], notes=["a note"])
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(FILES)
    for name in FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    content = json.loads((tmp_path / "a" / "results.json").read_text())
    assert content["plan_sha256"] == sha256(b'{"seeds": [0, 1]}').hexdigest()
    assert content["commands"] == ["simko compare"]
    assert "a note" in content["notes"]


@pytest.mark.usefixtures("no_pictures")
def test_results_are_arms_again(tmp_path: Path) -> None:
    first = write(tmp_path / "a", study())
    again = write(tmp_path / "b", load([tmp_path / "a"]))
    for one, other in zip(first["arms"], again["arms"], strict=True):
        assert {key: one[key] for key in ("name", "pass_at_k", "against_base", "against_reference", "cover")} == {
            key: other[key] for key in ("name", "pass_at_k", "against_base", "against_reference", "cover")
        }


@pytest.mark.usefixtures("no_pictures")
def test_files_inside_the_folder_are_named_relative_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert write(tmp_path, study())["arms"][1]["seeds"][0]["file"] == "runs/grpo/seed-0/eval/x.json"
    assert write(tmp_path / "elsewhere", study())["arms"][1]["seeds"][0]["file"].startswith("runs/grpo")


@pytest.mark.usefixtures("no_pictures")
def test_the_csv_has_a_row_for_each_arm_seed_and_k(tmp_path: Path) -> None:
    result = write(tmp_path, study())
    rows = rows_of(tmp_path)
    assert list(rows[0]) == list(COLUMNS)
    assert len(rows) == 3 * (2 + 1) * 5
    by_key = {(row["arm"], row["row"], row["seed"], row["k"]): row for row in rows}
    point, mean = by_key["simko", "seed", "1", "4"], by_key["simko", "mean", "", "4"]
    entry = next(entry for entry in result["arms"] if entry["name"] == "simko")
    assert float(point["pass_at_k"]) == entry["seeds"][1]["pass_at_k"]["4"]
    assert [float(mean[name]) for name in ("pass_at_k", "low", "high")] == entry["pass_at_k"]["curve"]["4"]
    assert float(mean["against_reference"]) == entry["against_reference"]["curve"]["4"][0]
    assert mean["against_base_decision"] in ("better", "worse", "not decided")
    assert float(point["tokens_at_k"]) == 32.0
    assert point["low"] == ""
    assert by_key["simko", "mean", "", "16"]["is_n"] == "1"


@pytest.mark.usefixtures("no_pictures")
def test_hostile_names_do_no_harm(tmp_path: Path) -> None:
    result = write(tmp_path, [*study(("grpo", "base"), 1), *(noisy(name, 0) for name in HOSTILE)])
    names = [entry["name"] for entry in json.loads((tmp_path / "results.json").read_text())["arms"]]
    assert names == ["base", "grpo", *HOSTILE]
    rows = rows_of(tmp_path)
    assert len(rows) == len(names) * 2 * 5
    assert {row["problems"] for row in rows} == {"48"}
    assert not any(row["arm"].startswith(("=", "+", "-", "@")) for row in rows)
    for text in (shown(result), markdown_table(result), csv_text(result)):
        assert not {"\x1b", "\u202e", "\ud800"} & set(text)
    lines = [line for line in markdown_table(result).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(names)
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "<script>" not in markdown_table(result)
    assert shown(result).count("[red]") == shown(result, 200).count("[red]") > 0  # no markup


def test_labels() -> None:
    assert label("a\x1b\u202eb\tc") == "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b c"
    assert label("random_rewards at T 0.6", 16) == "random_…at T 0.6"
    assert csv_cell("=1") == "'=1"
    assert markdown_cell("a|b_<c>") == "a\\|b\\_&lt;c&gt;"


@pytest.mark.usefixtures("no_pictures")
def test_no_arm_to_subtract_means_no_picture_of_differences(tmp_path: Path) -> None:
    write(tmp_path, study())
    write(tmp_path, study(("alone",)))
    assert not (tmp_path / "differences.png").exists()
    assert (tmp_path / "curves.png").exists()


@pytest.mark.usefixtures("no_pictures")
def test_what_disagrees_is_refused_or_written_apart(tmp_path: Path) -> None:
    measured = [*study(), noisy("other", 0, verifier="exact")]
    with pytest.raises(UserError, match="differ in verifier: 'expression' and 'exact'"):
        write(tmp_path / "a", measured)
    assert not (tmp_path / "a").exists()
    said: list[str] = []
    results = write_all(tmp_path / "b", comparisons(measured), say=said.append)
    assert [len(result["arms"]) for result in results] == [3, 1]
    assert (tmp_path / "b" / "apart-2" / "results.json").exists()
    assert "verifier: 'expression' and 'exact'" in said[0]


@pytest.mark.usefixtures("no_pictures")
def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"compare: .*file"):
        write(tmp_path / "file" / "x", study())


def test_the_terminal_has_80_columns_and_says_what_is_decided() -> None:
    names = ("grpo", "simko_pass_at_k", "grpo_with_a_low_learning_rate", "base")
    result = results_of(one_comparison(study(names, 3)))
    text = shown(result)
    assert max(map(len, text.splitlines())) <= 80
    assert "48 problems x 16 samples" in text
    blocks = conclusions(result)
    assert blocks[0].startswith("against grpo")
    assert "Holm p" in blocks[0]
    assert blocks[1].startswith("against base")
    assert "first loss" in blocks[1]
    lines = doubts(result)
    assert any("with 3 seeds a difference of" in line and "could be seen at pass@1" in line for line in lines)
    assert any(line.startswith("* at K = n") for line in lines)


def test_two_seeds_see_nothing_and_say_so() -> None:
    result = results_of(one_comparison(study()))
    result["could_be_seen"]["difference"] = 0.7
    assert any("with 2 seeds no difference to grpo could be seen" in line for line in doubts(result))


def test_one_seed_is_said_in_table_and_terminal() -> None:
    result = results_of(one_comparison(study(seeds=1)))
    for text in (shown(result, 200), markdown_table(result)):
        assert "says nothing of another training" in text
        assert "over problems only, of one training seed" in text


def test_markdown_has_intervals_words_and_marks() -> None:
    theirs = Measured("theirs", None, arm("x", solved=[4] * 48).counts, {}, {}, "lm-eval", "x.jsonl")
    text = markdown_table(results_of(one_comparison([*study(), theirs])))
    assert "pass@16\\*" in text or "pass@16*" in text
    assert "theirs (counts by others)" in text
    assert "(Holm p" in text
    assert "not known: " in text
