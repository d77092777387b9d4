"""The audit finds what is wrong with a verifier: each fault is planted in one and must be reported, and nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simko.cli import app
from simko.envs.verifiers import audit as own
from simko.envs.verifiers.audit import Audit, Family, audit
from simko.envs.verifiers.audit_cases import Sample
from simko.envs.verifiers.corpus import Case
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
    said = "\n".join(report.findings)
    for event in ("os.system", "simko_canary", "subprocess.Popen", "exec", "open", "wrote canary"):
        assert event in said, event
    assert not report.passed
    assert not list(planted.glob("canary*"))


def test_a_file_that_the_verifier_writes_is_found(planted: Path) -> None:
    assert run("writes", n=200).executions > 10


def test_hangs_and_deaths_are_found_and_the_rest_goes_on(planted: Path) -> None:
    report = audit("planted_verifiers:hangs", n=6, samples=(Sample("42", "42", "43"),))
    assert report.hangs >= 2
    assert report.tried > 20
    assert run("dies", n=200).hangs >= 2


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
    for name in ("no_such_verifier", "no_such_module:f", "planted_verifiers:no_such_function"):
        with pytest.raises(UserError, match="cannot be audited"):
            audit(name)


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
    said = json.loads(done.output)
    assert said["false_positives"] > 20
    assert said["passed"] is False
    assert "planted_verifiers" not in sys.modules  # it ran in a process of its own
    assert isinstance(invoke(app, ["verify", "audit", "--data", "/nowhere/at/all"]).exception, UserError)
