"""What is built is the tree, and nothing but `simko` lands in site-packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINKS = ("envs", "agents", "recipes")
FOLDERS = {"simko": "simko", **{name: f"simko/{name}" for name in LINKS}}  # in the tree: in site-packages
SKIP = shutil.ignore_patterns(
    ".git", ".venv", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "dist", "runs"
)


def tree_files(root: Path) -> set[str]:
    """Every file of the four folders, as it must be installed. Those in `LINKS` are symlinks in `simko/`."""
    modules = set()
    for folder, installed in FOLDERS.items():
        for path in (root / folder).rglob("*"):
            inside = path.relative_to(root / folder)
            behind_link = folder == "simko" and inside.parts[0] in LINKS
            if path.is_file() and "__pycache__" not in inside.parts and not behind_link:
                modules.add(f"{installed}/{inside.as_posix()}")
    return modules


def build(kind: str, root: Path, out: Path) -> Path:
    """Call the build backend's own hook in `root`: no network, no isolation, no front end."""
    out.mkdir(exist_ok=True)
    code = f"import sys; from setuptools import build_meta; print('built', build_meta.build_{kind}(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, str(out)], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return out / done.stdout.splitlines()[-1].removeprefix("built ")


def content(wheel: Path) -> list[str]:
    """Files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clean copy of the checkout, with its symlinks, so that nothing of an earlier build slips in."""
    root = tmp_path_factory.mktemp("checkout") / "simko"
    shutil.copytree(ROOT, root, symlinks=True, ignore=SKIP)
    return root


@pytest.fixture(scope="module")
def wheel(tree: Path) -> Path:
    return build("wheel", tree, tree.parent / "wheel")


def test_wheel_holds_the_tree(tree: Path, wheel: Path) -> None:
    names = content(wheel)
    ours = {name for name in names if ".dist-info/" not in name}
    assert ours == tree_files(tree)
    assert len(names) == len(set(names))
    assert {"simko/envs/__init__.py", "simko/agents/__init__.py", "simko/cli/__init__.py", "simko/py.typed"} <= ours


def test_only_simko_at_the_top(wheel: Path) -> None:
    import simko

    assert {name.split("/")[0] for name in content(wheel)} == {"simko", f"simko-{simko.__version__}.dist-info"}


def test_the_version_stands_in_one_place() -> None:
    """In simko/__init__.py. pyproject.toml reads it there, the citation repeats it, and the changelog has it."""
    import simko

    assert tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dynamic"] == ["version"]
    citation, changes = (
        (ROOT / name).read_text(encoding="utf-8").splitlines() for name in ("CITATION.cff", "CHANGELOG.md")
    )
    assert f"version: {simko.__version__}" in citation
    heads = [line for line in changes if line.startswith("## ")]
    assert heads[0] == "## Unreleased"
    assert heads[1].startswith(f"## {simko.__version__} - 20")


def test_unpacked_wheel_runs(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    code = (
        "import simko.cli, simko.envs, simko.algorithms, simko.recipes, gymnasium;"
        "assert simko.recipes.recipe('countdown').settings['model'] == 'tiny';"
        "env = gymnasium.make('simko/Countdown-v0'); env.reset(seed=0);"
        "print(simko.cli.__file__, simko.envs.__file__)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert all(name.startswith(str(site)) for name in done.stdout.split())
    with zipfile.ZipFile(wheel) as archive:
        (entry_points,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "simko = simko.cli:main" in archive.read(entry_points).decode()


def test_sdist_builds_the_same_wheel(tree: Path, wheel: Path, tmp_path: Path) -> None:
    packed = build("sdist", tree, tmp_path / "sdist")
    with tarfile.open(packed) as archive:
        names = archive.getnames()
        archive.extractall(tmp_path / "unpacked", filter="data")
    (root,) = (tmp_path / "unpacked").iterdir()
    assert len(names) == len(set(names))
    assert not any(name.startswith(tuple(f"{root.name}/simko/{link}/" for link in LINKS)) for name in names)
    ours = ("recipes/countdown.yaml", "notebooks/quick_start.ipynb", "tests/conftest.py", "tests/test_packaging.py")
    for name in ("cli.py", "Makefile", "constraints.txt", "README.md", *ours):
        assert (root / name).is_file(), name
    again = build("wheel", root, tmp_path / "wheel")
    assert sorted(content(again)) == sorted(content(wheel))


def test_symlinks_lead_to_the_folders() -> None:
    """In a checkout `import simko.envs` finds `envs/` without an install."""
    for name in LINKS:
        link = ROOT / "simko" / name
        if not (ROOT / ".git").exists() and not link.exists():
            pytest.skip("an sdist has no symlinks: it is installed")
        assert link.is_symlink()
        assert os.readlink(link) == f"../{name}"


def test_constraints_pin_every_dependency() -> None:
    """Each direct dependency has a tested version, at or above its lower bound."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    extras = project["optional-dependencies"]
    tested = [line for line in extras["test"] if not line.startswith("simko[")]
    for line in [*project["dependencies"], *tested, *extras["hub"], *extras["docs"]]:
        name, bound = line.lower().replace("_", "-").split(">=")
        assert _numbers(pins[name]) >= _numbers(bound), line
    assert pins["torch"] == "2.13.0"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())
