"""The report: what is in it, what it says of what is missing, and that hostile text stays text."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from pages import RESULT, forks, write_run

from simko.errors import UserError
from simko.files import locked
from simko.report.page.build import finished, report
from simko.report.page.escape import line
from simko.report.page.glossary import glossary
from simko.report.page.lost import Moved, _list

SECTIONS = ["before-after", "curve", "learning", "concentration", "forks", "groups", "lost", "cover", "record"]
VOID = {"meta", "link", "br", "input", "line", "circle", "rect", "polyline", "polygon"}
HOSTILE = (
    "\u202e\x1b[3m</script><script>alert(1)</script><img src=x onerror=alert(2)>&lt;b&gt;\"'`\x1b[31mred\x07\x00\u202eevil\u2066"
    "\u200b\ufeff\u2028\u2029\ud800 }{%\\u003c <!-- --> ]]> </style></title></textarea><iframe src=//evil.example>"
)


class Reader(HTMLParser):
    """Elements in order, with a check that each one is closed where it should be."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("page") / "my-run")


@pytest.fixture(scope="module")
def page(run: Path) -> str:
    return report([run])[0]


def test_every_section_is_there_in_order(page: str) -> None:
    assert re.findall(r'<section id="([\w-]+)"', page) == SECTIONS


def test_nothing_is_missing_of_a_whole_run(run: Path) -> None:
    assert report([run])[1] == []


def test_equal_runs_give_equal_pages(run: Path, page: str) -> None:
    assert report([run])[0] == page


def test_nothing_is_loaded_and_only_its_own_script_and_style_are_allowed(page: str) -> None:
    reader = Reader(page)
    meta = next(m for m in reader.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    policy = str(meta["content"])
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        [content] = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert f"{directive} 'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'" in policy
    assert not [
        a for tag, a in reader.elements if "src" in a or "style" in a or any(name.startswith("on") for name in a)
    ]
    links = [str(a["href"]) for _, a in reader.elements if "href" in a]
    assert all(link.startswith("#") or link == "data:," for link in links)
    assert not re.search(r"@import|url\(", page)


def test_the_words_are_those_of_the_band(run: Path, page: str) -> None:
    from simko.report.arms import load
    from simko.report.comparable import one_comparison
    from simko.report.comparison import results_of

    result = results_of(one_comparison(load([run])))
    gap = next(arm["against_base"] for arm in result["arms"] if arm["against_base"])
    text = " ".join(Reader(page).text)
    assert "not decided" in text
    assert "50.0 → 50.0" in text.replace("\xa0", " ")
    assert "one seed" in text
    assert gap["words"][1:] in text
    assert gap["first_loss"]["words"][1:] in text


def test_headings_are_in_order_and_tables_have_scopes(page: str) -> None:
    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    reader = Reader(page)
    assert all(th.get("scope") in ("col", "row") for th in reader.all("th"))
    assert all(svg.get("role") == "img" and svg.get("aria-label") for svg in reader.all("svg"))
    assert len(reader.all("title")) == 1 + len(reader.all("svg"))
    ids = [str(a["id"]) for _, a in reader.elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_the_map_says_what_happened_without_a_script(page: str) -> None:
    table = re.search(r'<table class="tokens">.*?</table>', page, re.DOTALL)
    assert table
    assert '<b class="own">t1</b><i>30.0→60.0</i>' in table[0]
    assert "reward shared with the candidates" in table[0]
    assert "of 2 answers with this beginning: “t1” by 2 (1 right)" in table[0]
    assert "“t2” by 1 (1 right), “t3” by 1 (0 right)" in table[0]
    assert "1.30 → 0.20" in table[0]


def test_lost_and_won_have_counts_and_an_example(page: str) -> None:
    section = page[page.index('<section id="lost"') : page.index('<section id="cover"')]
    assert "Lost: 1 problems" in section
    assert "0 of 8" in section
    assert "1+2 base" in section
    assert "1+2 trained" in section


def test_the_browser_has_every_sample_of_a_group(page: str) -> None:
    first = page[page.index('<details class="group"') :]
    block = first[: first.index("</details>")]
    assert 'data-step="6"' in block
    assert "1+2 again6" in block
    assert block.count("<tr class=") == 4


@pytest.mark.parametrize("place", ["text", "task", "problem", "config", "name", "facts"])
def test_hostile_text_stays_text(tmp_path: Path, page: str, place: str) -> None:
    given = {place: HOSTILE} if place in ("text", "task", "problem") else {}
    config = {"env": HOSTILE, "model": HOSTILE, HOSTILE.replace("\x00", ""): HOSTILE} if place == "config" else None
    facts = {"env": HOSTILE, "verifier": HOSTILE, "part": HOSTILE, "model": HOSTILE} if place == "facts" else None
    name = "<script>alert(1)<&\u202e\x1b'\"" if place == "name" else "run"
    run = write_run(tmp_path / name, **given, config=config, evaluation=facts)
    plain = {tag for tag, _ in Reader(page).elements}
    page, _ = report([run])
    reader = Reader(page)
    assert {tag for tag, _ in reader.elements} <= plain
    assert page.count("<script") == page.count("</script") == 1
    assert page.encode("utf-8")
    shown = "".join(reader.text) + "".join(str(v) for _, a in reader.elements for v in a.values())
    for hidden in "\x1b\x07\x00\u202e\u2066\u200b\ufeff\u2028\u2029\r":
        assert hidden not in page
        assert hidden not in shown
    if place != "facts":  # such facts are not shown: they are not of the known types
        assert "⟨U+202E⟩" in shown
        assert "<script>alert(1)" in shown.replace("\n", " ")


def test_a_long_answer_is_cut_and_the_page_stays_small(tmp_path: Path) -> None:
    page, _ = report([write_run(tmp_path / "run", text="x" * 1_000_000, steps=2, evaluated="x")])
    assert len(page) < 150_000
    assert "cut: 1,000,000 characters" in page


def test_a_run_of_200_steps_fits(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", steps=200, text="So the answer is 6 times 7, which is 42. " * 12, evaluated="x")
    many = forks("word", tokens=300, answers=8)
    page, _ = report([run], {run: many})
    assert len(page.encode()) < 300_000
    assert "of 2,400 tokens have details" in page
    assert "mean of 3 steps" in page


def test_what_is_damaged_is_said_and_the_rest_is_shown(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text(
        "\n".join([lines[0], "{broken", '{"step": "x"}', "[" * 9999, *lines[2:], '{"step": 7, "re'])
    )
    (run / "manifest.json").unlink()
    packed = run / "rollouts" / "000006.jsonl.gz"
    packed.write_bytes(packed.read_bytes()[:50])
    samples = next((run / "eval").glob("*.samples.jsonl.gz"))
    samples.write_bytes(samples.read_bytes()[:-20])
    for file in (run / "forks").iterdir():
        file.write_bytes(gzip.compress(b"[]"))
    page, missing = report([run])
    said = " ".join(missing)
    for word in ("3 damaged lines", "half written", "manifest.json", "000006.jsonl.gz", "forks/"):
        assert word in said, word
        assert word in page
    assert re.findall(r'<section id="([\w-]+)"', page) == SECTIONS
    assert 'data-step="5"' in page


@pytest.mark.parametrize(
    ("gone", "words"),
    [
        (["metrics.jsonl"], "no learning curves"),
        (["rollouts"], "no group browser"),
        (["eval"], "no evaluation"),
        (["config.yaml"], "config.yaml"),
        (["forks"], "No forking map"),
        (["metrics.jsonl", "rollouts", "eval", "manifest.json", "forks", "checkpoints"], "no evaluation"),
    ],
)
def test_what_is_not_there_is_said(tmp_path: Path, gone: list[str], words: str) -> None:
    run = write_run(tmp_path / "run")
    for name in gone:
        shutil.rmtree(run / name) if (run / name).is_dir() else (run / name).unlink()
    page, _ = report([run])
    assert words in page
    Reader(page)


def test_a_damaged_configuration_costs_no_curve(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "config.yaml").write_text("a: [1\n")
    page, missing = report([run])
    assert "not valid YAML" in " ".join(missing)
    assert "50.0 → 50.0" in page
    assert 'aria-label="pass@K' in page


def test_a_damaged_result_is_one_line(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    (run / "eval" / RESULT).write_text('{"counts": ')
    page, missing = report([run])
    assert RESULT in " ".join(missing)
    Reader(page)


def test_runs_are_overlaid(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "one", seed=0), write_run(tmp_path / "two", seed=0, algorithm="grpo")]
    page, _ = report(runs)
    reader = Reader(page)
    titles = " ".join(str(svg["aria-label"]) for svg in reader.all("svg"))
    assert "one from 0.25" in titles
    assert "two from 0.25" in titles
    assert page.count('<table class="tokens">') == 2  # one map of two answers
    assert "a report of its own" in page
    assert "Frontier" in titles


@pytest.mark.parametrize("change", [{"verifier": "math"}, {"env": "simko/GSM8K-v0"}, {"data_sha256": "ff" * 32}])
def test_what_differs_is_never_drawn_together(tmp_path: Path, change: dict[str, str]) -> None:
    other = {"data_sha256": "00" * 32} if "data_sha256" in change else {}
    one = write_run(tmp_path / "one", evaluation=other)
    two = write_run(tmp_path / "two", evaluation=change)
    page, missing = report([one, two])
    assert any("not drawn together" in text and next(iter(change)) in text for text in missing)
    curve = page[page.index('<section id="curve"') : page.index('<section id="learning"')]
    assert curve.count("<svg") == 2
    if "verifier" in change:
        assert "are drawn apart" in page


def test_a_comparison_folder(tmp_path: Path) -> None:
    for arm in ("grpo", "simko"):
        for seed in (0, 1):
            write_run(tmp_path / "cmp" / "runs" / arm / f"seed-{seed}", seed=seed, algorithm=arm, steps=3)
    page, missing = report([tmp_path / "cmp"])
    sections = re.findall(r'<section id="([\w-]+)"', page)
    assert sections == ["before-after", "curve", "learning", "concentration", "lost", "cover", "record"]
    assert "Against grpo" in page
    assert "Frontier" in page
    assert "grpo, seed-0" in page
    assert not missing
    Reader(page)


def test_a_result_alone(run: Path) -> None:
    page, _ = report([run / "eval" / RESULT])
    assert "before-after" in page
    assert 'id="groups"' not in page


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        report([tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="report:"):
        report([tmp_path / "empty"])


def test_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    secret = tmp_path / "secret"
    secret.write_text(json.dumps({"password": "hunter2"}))
    (run / "manifest.json").unlink()
    (run / "manifest.json").symlink_to(secret)
    with pytest.raises(UserError, match="link"):
        report([run])


def test_alarms_are_at_the_top(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    rows = [{"step": step, "truncated": 0.9, "no_answer": 0.9, "entropy": 0.5, "reward": 0.0} for step in range(1, 9)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    page, _ = report([run])
    assert page.index('class="alarms"') < page.index("<nav")
    assert "max-new-tokens" in page


def test_whether_a_run_is_over(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run")
    assert finished([run])
    with locked(run):
        assert not finished([run])  # its evaluation is still to come
    (run / "manifest.json").write_text('{"status": "stopped"}')
    assert finished([run])
    assert "data-refresh" in report([run], refresh=True)[0].split("<head>")[0]


@pytest.mark.parametrize("name", ["metrics.jsonl", "config.yaml", "manifest.json"])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    run = write_run(tmp_path / "run")
    (run / name).unlink()
    os.mkfifo(run / name)
    with pytest.raises(UserError, match=f"{name} is a link or a pipe"):
        report([run])


def test_a_run_without_an_evaluation_stands_beside_one_that_has_it(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / "one"), write_run(tmp_path / "two")]
    shutil.rmtree(runs[1] / "eval")
    page, _ = report(runs)
    assert "are drawn apart" not in page
    assert "two from 0.25" in page


def test_many_lost_problems_keep_their_number() -> None:
    problems = [Moved(f"task {i}", (8, 1), (8, 0)) for i in range(40)]
    block = _list("Lost", problems, {}, "base", 8)
    assert "Lost: 40 problems" in block
    assert "8 of 40 are listed" in block


def test_a_cut_line_says_its_whole_length() -> None:
    assert line("ab " * 1000, 30).endswith("[cut: 2,999 characters]")


def test_the_page_says_what_its_metrics_mean(page: str) -> None:
    rows = {row[0].strip("`"): row[1] for row in glossary()}
    concentration = page[page.index('<section id="concentration"') : page.index('<section id="forks"')]
    for name in ("entropy", "logp_rankN", "entropy_hist_N"):
        assert f"<code>{name}</code></th><td>{rows[name].partition('`')[0].partition(';')[0]}" in concentration
    assert "solve_rate" not in concentration
    assert "<code>solve_rate</code></th>" in page
    assert "<code>eepo_forgot</code>" not in page


def test_numbers_of_several_runs_name_their_metric(tmp_path: Path) -> None:
    page, _ = report([write_run(tmp_path / "a" / "run"), write_run(tmp_path / "b" / "run", algorithm="grpo")])
    learning = page[page.index('<section id="learning"') : page.index('<section id="concentration"')]
    assert learning.count(">run: reward, reward and solve rate</th>") == 2
    assert learning.count(">run: tokens, length of an answer</th>") == 2
