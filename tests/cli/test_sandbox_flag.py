"""What grades programs takes --unsafe-no-sandbox, from a person alone; `doctor` says what they would run in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from simko.cli import run
from simko.cli.doctor import sandbox
from simko.envs.code import jails
from simko.errors import UserError


@pytest.fixture(autouse=True)
def safe_again() -> Iterator[None]:
    """The settings of this process as they were."""
    yield
    jails.configure()


@pytest.mark.parametrize(
    "words", [("results", "absent"), ("verify", "rescore", "absent"), ("verify", "explain", "1", "absent")]
)
def test_what_grades_takes_the_flag(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    run(words)
    assert not jails.settings().unsafe
    assert "without a sandbox" not in capsys.readouterr().err
    run([*words, "--unsafe-no-sandbox"])
    assert jails.settings().unsafe
    assert "they may read and change whatever this user may" in capsys.readouterr().err


def test_doctor_names_the_sandbox_or_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    class Jail:
        name = "bwrap"

    monkeypatch.setattr(jails, "chosen", Jail)
    assert (sandbox().status, sandbox().detail) == ("ok", "programs of a model (verifier code) run in bwrap")

    def none() -> None:
        raise UserError(f"no sandbox for programs: no kernel has it; {jails.MEND}")

    monkeypatch.setattr(jails, "chosen", none)
    assert sandbox().status == "warn"
    assert "no kernel has it" in sandbox().detail
    assert sandbox().mend == jails.MEND
