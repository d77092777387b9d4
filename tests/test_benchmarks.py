"""The benchmark frame: cases in processes, interleaving, ratios, peers that are missing or break."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.__main__ import main, names, table, title
from benchmarks.common import Case, Options, Result, Sample, compare, ratios

HERE = f"tests.{Path(__file__).stem}"


def allocate(mib: int) -> Callable[[], dict[str, int]]:
    def once() -> dict[str, int]:
        block = bytearray(mib * 2**20)
        block[::4096] = b"x" * len(block[::4096])
        return {"pages": len(block) // 4096}

    return once


def broken() -> None:
    raise ValueError("out of order")


def dies() -> Callable[[], None]:
    return lambda: sys.exit(3)


@pytest.fixture(scope="module")
def result() -> Result:
    cases = [
        Case("ours", f"{HERE}:allocate", {"mib": 20}, "ours"),
        Case("peer", f"{HERE}:allocate", {"mib": 80}),
        Case("floor", f"{HERE}:allocate", {"mib": 1}, "other"),
        Case("broken", f"{HERE}:broken"),
        Case("dies", f"{HERE}:dies"),
        Case("absent", f"{HERE}:broken", needs={"no-such-peer": "no-such-peer==1.0"}),
    ]
    goals = {"peak_mib/peer": 0.5, "wall_s/peer": 1e-9}
    return compare("demo", "a demonstration", cases, Options(), repeats=2, per="pages", targets=goals)


def test_memory_is_what_the_repetition_took_whatever_ran_before(result: Result) -> None:
    assert result.samples["ours"].column("peak_mib") == pytest.approx([20, 20], abs=2)
    assert result.samples["peer"].column("peak_mib") == pytest.approx([80, 80], abs=2)
    assert result.ratios["peak_mib/peer"] == pytest.approx(0.25, abs=0.03)


def test_only_peers_are_in_the_ratios(result: Result) -> None:
    assert set(result.ratios) == {"wall_s/peer", "cpu_s/peer", "peak_mib/peer"}
    assert result.samples["ours"].column("wall_s_per_pages")[0] > 0


def test_a_peer_that_is_absent_or_breaks_is_said_and_left_out(result: Result) -> None:
    assert "no-such-peer==1.0" in result.missing["absent"]
    assert result.failed["broken"] == "ValueError: out of order"
    assert "status 3" in result.failed["dies"]
    assert set(result.samples) == {"ours", "peer", "floor"}


def test_the_table_says_it_all(result: Result) -> None:
    text = table(result)
    assert "goal 0.5: met" in text
    assert "goal 1e-09: MISSED" in text
    assert "left out: absent" in text
    assert "cpu" in text.splitlines()[1]


def test_json_holds_ratios_medians_and_ranges(result: Result) -> None:
    plain = json.loads(json.dumps(result.to_json()))
    assert next(iter(plain)) == "ratios"
    case = plain["cases"]["peer"]
    low, high = case["range"]["wall_s"]
    assert low <= case["median"]["wall_s"] <= high
    assert len(case["raw"]) == 2
    assert {"cpu", "load_before", "load_after", "threads"} <= set(plain["machine"])


def test_ratios_are_paired_by_round() -> None:
    ours = Sample("ours", [{"wall_s": 1.0}, {"wall_s": 10.0}, {"wall_s": 1.0}])
    peer = Sample("peer", [{"wall_s": 2.0}, {"wall_s": 20.0}, {"wall_s": 2.0}])
    assert ratios({"ours": ours, "peer": peer}, ["wall_s"]) == {"wall_s/peer": 0.5}


def test_our_own_failure_stops_the_benchmark() -> None:
    with pytest.raises(RuntimeError, match="out of order"):
        compare("demo", "", [Case("ours", f"{HERE}:broken", role="ours")], Options())


def test_every_benchmark_has_a_title_and_the_list_names_it() -> None:
    root = Path(__file__).resolve().parent.parent
    listed = subprocess.run([sys.executable, "-m", "benchmarks"], cwd=root, capture_output=True, text=True, check=True)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == names()
    assert all(title(name) for name in names())
    wrong = subprocess.run([sys.executable, "-m", "benchmarks", "hed"], cwd=root, capture_output=True, text=True)
    assert wrong.returncode == 2
    assert "no benchmark named hed" in wrong.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["heads"], "no benchmark named heads; there are: "),
        (["imports", "--peer-python", "/nowhere/python"], "--peer-python /nowhere/python: no such interpreter"),
        (["imports", "--repeats", "0"], "argument --repeats: '0' is not a whole number of at least 1"),
        (["imports", "--threads", "-1"], "argument --threads: "),
    ],
)
def test_mistakes_are_said_before_anything_runs(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        status = main(arguments)
    except SystemExit as ended:
        status = ended.code
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    assert message in err.splitlines()[-1]
