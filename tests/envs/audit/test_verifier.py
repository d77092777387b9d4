"""The audit finds what is wrong with a verifier: each fault is planted in one and must be reported, and nothing else."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from timing import wait_until
from typer.testing import CliRunner

from simko.cli import app
from simko.envs.audit import verifier as own
from simko.envs.audit.cases import Sample
from simko.envs.audit.corpus import Case
from simko.envs.audit.verifier import Audit, Family, audit
from simko.errors import UserError

MODULE = """
import os
import re
import subprocess
import simko.envs

def _inside(response):
    found = re.findall(r"\\\\boxed\\{([^{}]*)\\}", response)
    return found[-1] if found else response.strip()

@simko.envs.verifier("planted/strict")
def strict(response, gold):
    return _inside(response) == gold and response.count("boxed") <= 1

def accepts(response, gold):
    return True

def refuses(response, gold):
    return False

def raises(response, gold):
    return _inside(response)[100]

def evaluates(response, gold):
    try:
        return eval(_inside(response)) == eval(gold)
    except BaseException:
        return False

def writes(response, gold):
    if "touch" in response:
        with open("touched-by-verifier", "w"):
            pass
    return _inside(response) == gold

def hangs(response, gold):
    while "9^{9^" in response:
        pass
    return _inside(response) == gold

def always_hangs(response, gold):
    while True:
        pass

def stops(response, gold):
    os.kill(os.getpid(), 19)

def always_dies(response, gold):
    os._exit(3)

no_function = 3

def leaves_a_process(response, gold):
    child = subprocess.Popen(["sleep", "60"])
    with open("left", "a") as file:
        print(child.pid, file=file)
    return _inside(response) == gold

def dies(response, gold):
    if "\\\\input" in response:
        os._exit(3)
    return _inside(response) == gold

_kept = []

def grows(response, gold):
    _kept.append(bytearray(1_000_000))
    _kept.append(os.open(os.devnull, os.O_RDONLY))
    return _inside(response) == gold
"""


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "planted_verifiers.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(own, "HANG_SECONDS", 1.0)
    monkeypatch.setattr(own, "MAX_FINDINGS", 2000)
    return tmp_path


def run(function: str, n: int = 60) -> Audit:
    return audit(f"planted_verifiers:{function}", n=n, samples=(Sample("42", "42", "43"),))


def test_a_strict_one_has_no_false_positive(planted: Path) -> None:
    report = audit("planted/strict", module="planted_verifiers", n=60, samples=(Sample("42", "42", "43"),))
    assert (report.false_positives, report.executions, report.hangs, report.exceptions, report.slow) == (0, 0, 0, 0, 0)
    assert report.false_negatives > 0  # it knows boxes alone
    assert not report.passed


def test_accepting_everything_is_found(planted: Path) -> None:
    report = run("accepts")
    assert report.false_positives == sum(f.tried for name, f in report.families.items() if name != "same")
    assert report.false_negatives == 0
    assert not report.passed


def test_refusing_everything_is_found(planted: Path) -> None:
    report = run("refuses")
    assert (report.false_positives, report.false_negatives) == (0, report.families["same"].tried)
    assert not report.passed


def test_executions_are_found(planted: Path) -> None:
    report = run("evaluates", n=300)
    assert report.executions > 100
    text = "\n".join(report.findings)
    for event in ("os.system", "simko_canary", "subprocess.Popen", "exec", "open", "wrote canary"):
        assert event in text, event
    assert not report.passed
    assert not list(planted.glob("canary*"))


def test_a_file_that_the_verifier_writes_is_found(planted: Path) -> None:
    assert run("writes", n=200).executions > 10


def test_hangs_and_deaths_are_found_and_the_rest_goes_on(planted: Path) -> None:
    report = audit("planted_verifiers:hangs", n=6, samples=(Sample("42", "42", "43"),))
    assert report.hangs >= 2
    assert report.tried > 20
    report = run("dies", n=200)
    assert report.deaths >= 2
    assert report.hangs == 0
    assert not report.passed
    assert any("ended itself with status 3" in line for line in report.findings)


@pytest.mark.parametrize("function", ["always_hangs", "always_dies", "stops"])
def test_one_that_always_hangs_or_dies_does_not_take_for_ever(
    planted: Path, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    monkeypatch.setattr(own, "HANG_SECONDS", 0.2)
    monkeypatch.setattr(own, "MAX_DEATHS", 3)
    report = audit(f"planted_verifiers:{function}", n=60)  # without samples its kinds are looked for first
    assert report.hangs + report.deaths == (3 if function == "always_dies" else own.MAX_HANGS)
    assert "stopped after" in report.findings[-1]
    assert not report.passed


def test_what_it_leaves_behind_is_killed(planted: Path) -> None:
    assert run("leaves_a_process", n=1).executions > 5
    left = [int(pid) for pid in (planted / "left").read_text().split()]
    assert left
    assert wait_until(lambda: not any(map(_is_alive, left)))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_exceptions_are_found(planted: Path) -> None:
    report = run("raises")
    assert report.exceptions > 20
    assert not report.passed


def test_growth_is_found(planted: Path) -> None:
    report = run("grows", n=100)
    assert report.growth_mib > 64
    assert report.growth_descriptors > 50
    assert not report.passed


def test_what_cannot_be_loaded_is_one_line(planted: Path) -> None:
    (planted / "leaving.py").write_text("import sys; sys.exit(5)")
    (planted / "broken.py").write_text("a syntax error")
    for name, why in {
        "no_such_verifier": "no verifier 'no_such_verifier'",
        "no_such_module:f": "ModuleNotFoundError: No module",
        "planted_verifiers:no_such_function": "AttributeError: module",
        "planted_verifiers:no_function": "is of type int, not a function",
        "leaving:f": "SystemExit: 5",
        "broken:f": "SyntaxError",
    }.items():
        with pytest.raises(UserError, match=f"cannot be audited .*{why}"):
            audit(name)


def test_mistakes_of_a_user_are_one_line(planted: Path) -> None:
    invoke = CliRunner().invoke
    (planted / "leaving.py").write_text("import sys; sys.exit(5)")
    (planted / "broken.py").write_text("a syntax error")
    for arguments, why in (
        ("audit --limit nan", "seconds above 0"), ("audit --limit 0", "seconds above 0"),
        ("audit --limit inf", "seconds above 0"),
        ("audit exact --right 42", "--gold, too"), ("audit --data .", "it has none of math_train"),
        ("audit numeric --data .", "for math and math_row"), ("explain 1 2 --module leaving", "SystemExit: 5"),
        ("explain 1 2 --module broken", "SyntaxError"), ("explain 1 2 --module nowhere_at_all", "No module"),
        ("rescore . --module broken", "SyntaxError"),
    ):  # fmt: skip
        error = invoke(app, ["verify", *arguments.split()]).exception
        assert isinstance(error, UserError), arguments
        assert why in str(error)
        assert "\n" not in str(error)


def test_the_bundled_one_passes() -> None:
    report = audit("math", n=60)
    assert report.passed, report.findings
    assert report.tried > 250
    assert report.slowest < 1.0


def test_a_few_missed_answers_pass() -> None:
    report = Audit("x", {"same": Family(tried=100)}, false_negatives=1)
    assert report.passed
    report.false_negatives = 2
    assert not report.passed
    report.note("hang", Case("bomb", "kind", "x" * 1000, "g", False), "said")
    assert len(report.findings[0]) < 400


def test_the_command(planted: Path) -> None:
    invoke = CliRunner().invoke
    done = invoke(app, ["verify", "audit", "exact", "--n", "20"])
    assert done.exit_code == 0, done.output
    assert "exact: " in done.output
    assert "passed" in done.output
    done = invoke(
        app, ["verify", "audit", "planted_verifiers:accepts", "--n", "10", "--gold", "42", "--wrong", "43", "--json"]
    )
    assert done.exit_code == 1
    output = json.loads(done.output)
    assert output["false_positives"] > 20
    assert output["passed"] is False
    assert "planted_verifiers" not in sys.modules  # it ran in a process of its own
    assert isinstance(invoke(app, ["verify", "audit", "--data", "/nowhere/at/all"]).exception, UserError)
