"""Store what `simko --help` prints: `python -m studies.help_text`, after a command was added or its first line changed."""

from __future__ import annotations

from pathlib import Path

from simko.cli.commands import app

FILE = Path(__file__).resolve().parent.parent / "simko" / "cli" / "help.py"
ABOUT = '"""What `simko --help` prints at 80 columns. Written by `python -m studies.help_text`; a test says that it is so."""'


def rendered() -> str:
    """The help text as typer lays it out at 80 columns."""
    import typer
    from typer.testing import CliRunner

    result = CliRunner().invoke(app, ["--help"], prog_name="simko", env={"COLUMNS": "80"}, terminal_width=80)
    if result.exit_code:
        raise typer.Abort
    return result.output


def main() -> None:
    """Write the file."""
    FILE.write_text(f'{ABOUT}\n\nHELP = """\\\n{rendered()}"""\n', encoding="utf-8")


if __name__ == "__main__":
    main()
