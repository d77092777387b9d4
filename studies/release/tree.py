"""Steps on the checkout and on what is built of it: loose files, the version, the changelog, sdist and wheel."""

from __future__ import annotations

import re
import shutil
import sys
import tarfile
import zipfile
from pathlib import Path

from studies.release.work import FailedError, SkippedError, Work

HOUSES = {"simko/": "simko/", "envs/": "simko/envs/", "agents/": "simko/agents/", "recipes/": "simko/recipes/"}
"""Where a file of the tree stands in the wheel."""


def no_loose_files(work: Work) -> str:
    """Everything is committed."""
    if not (work.root / ".git").exists():
        raise SkippedError("no checkout of git")
    loose = work.run(["git", "status", "--porcelain"]).splitlines()
    if loose:
        raise FailedError(f"{len(loose)} files are not committed, the first: {loose[0][3:]}; commit or delete them")
    return f"all is committed, at {work.run(['git', 'rev-parse', '--short', 'HEAD']).strip()}"


def version_of(work: Work) -> str:
    """The one place of the version: `simko.__version__`, read as text."""
    found = re.search(r'^__version__ = "([^"]+)"$', work.text("simko/__init__.py"), re.MULTILINE)
    if not found:
        raise FailedError('simko/__init__.py has no line `__version__ = "..."`')
    return found.group(1)


def one_version(work: Work) -> str:
    """CITATION.cff repeats the version, pyproject.toml does not, and no tag has it yet."""
    version = version_of(work)
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        raise FailedError(f"the version {version} is not like 1.2.3 or 1.2.3rc1; mend simko/__init__.py")
    if "version" in work.project():
        raise FailedError("pyproject.toml has a version of its own; leave `dynamic` to read simko/__init__.py")
    cited = re.findall(r"^version: (.+)$", work.text("CITATION.cff"), re.MULTILINE)
    if cited != [version]:
        raise FailedError(f"CITATION.cff says version {cited}, and simko/__init__.py {version}; make them equal")
    if (work.root / ".git").exists() and work.run(["git", "tag", "--list", f"v{version}"]).strip():
        raise FailedError(f"the tag v{version} exists; raise the version in simko/__init__.py")
    return version


def changelog(work: Work) -> str:
    """Unreleased stands first, and the version has a dated entry with at least one line."""
    version, text = version_of(work), work.text("CHANGELOG.md")
    heads = re.findall(r"^## (.+)$", text, re.MULTILINE)
    if heads[:1] != ["Unreleased"]:
        raise FailedError("CHANGELOG.md must begin with `## Unreleased`, for what comes next")
    dated = [head for head in heads if re.fullmatch(re.escape(version) + r" - \d{4}-\d\d-\d\d", head)]
    if not dated:
        raise FailedError(f"CHANGELOG.md has no `## {version} - YEAR-MONTH-DAY`; move the lines of Unreleased there")
    entry = text.split(f"## {dated[0]}\n", 1)[1].split("\n## ", 1)[0]
    waiting = text.split("## Unreleased\n", 1)[1].split("\n## ", 1)[0]
    count, later = (len(re.findall(r"^- ", part, re.MULTILINE)) for part in (entry, waiting))
    if not count:
        raise FailedError(f"CHANGELOG.md says nothing under {dated[0]}")
    if later:
        raise FailedError(
            f"{later} lines of CHANGELOG.md are under Unreleased; give them a version: raise it, and head them with it"
        )
    return f"{count} lines for {dated[0]}"


def build(work: Work) -> str:
    """An sdist and a wheel of the tree, and a wheel of the sdist with the same files and bytes."""
    out = work.folder / "dist"
    shutil.rmtree(out, ignore_errors=True)
    source = _copy(work)
    _front_end(work, "build", "--version")
    work.run([sys.executable, "-m", "build", "--sdist", "--wheel", "--outdir", out, source])
    work.built = sorted(out.iterdir())
    with tarfile.open(work.sdist) as archive:
        archive.extractall(work.folder / "unpacked", filter="data")
    (unpacked,) = (work.folder / "unpacked").iterdir()
    work.run([sys.executable, "-m", "build", "--wheel", "--outdir", work.folder / "again", unpacked])
    (again,) = (work.folder / "again").iterdir()
    ours, theirs = files_in(work.wheel), files_in(again)
    differing = sorted(name for name in {*ours, *theirs} if ours.get(name) != theirs.get(name))
    if differing:
        raise FailedError(f"the wheel of the sdist differs in {len(differing)} files, the first: {differing[0]}")
    return f"{work.wheel.name} and {work.sdist.name}; the sdist builds the same wheel"


def _copy(work: Work) -> Path:
    """The committed tree in a folder of its own: what an earlier build left must not slip in."""
    source = work.folder / "source"
    for folder in (source, work.folder / "unpacked", work.folder / "again"):
        shutil.rmtree(folder, ignore_errors=True)
    work.run(["git", "clone", "--quiet", "--no-hardlinks", work.root, source])
    return source


def _front_end(work: Work, module: str, *arguments: str) -> None:
    try:
        work.run([sys.executable, "-m", module, *arguments])
    except FailedError:
        raise FailedError(f"{module} is not installed; pip install 'simko[release]'") from None


def files_in(wheel: Path) -> dict[str, bytes]:
    """Each file of a wheel but RECORD, which lists the others."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/RECORD")}


def twine(work: Work) -> str:
    """`twine check --strict` takes both."""
    files = [work.sdist, work.wheel]
    _front_end(work, "twine", "--version")
    work.run([sys.executable, "-m", "twine", "check", "--strict", *files])
    return "twine check --strict takes both"


def same_content(work: Work) -> str:
    """The wheel holds the committed files of these folders, byte for byte, and nothing else."""
    tracked = work.run(["git", "ls-files"]).splitlines()
    paths = [name for name in tracked if (work.root / name).is_file()]  # two links lead to folders, one to a page
    wanted = {
        inside + name.removeprefix(house): (work.root / name).read_bytes()
        for house, inside in HOUSES.items() for name in paths if name.startswith(house)
    }  # fmt: skip
    found = {name: data for name, data in files_in(work.wheel).items() if ".dist-info/" not in name}
    differing = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    if differing:
        raise FailedError(f"wheel and tree differ in {len(differing)} files, the first: {differing[0]}")
    return f"{len(found)} files, those of the tree"
