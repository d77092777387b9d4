"""docs/reference/cli.md: every command with its examples and flags, from the command line itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import typer

from simko.cli import commands as command_line
from simko.cli.examples import examples_of
from simko.cli.panels import COMMANDS, METHOD, NOTES
from simko.console import markdown
from studies.pages.docstring import safe, wrapped
from studies.pages.see_also import SEE_ALSO
from studies.pages.tables import HEADER, MARKER, cell, shown

MOST_SHARED = 8
"""With more flags than these in common, a command refers to those of another."""
_LENDERS = ("train", "eval")
"""Commands to whose flags others refer."""
_ARGUMENTS, _OTHERS = "Arguments", "Other flags"
_BRACKETS = re.compile(r" \[([^\[\]]*)\]$")
"""The default of a setting at the end of its help."""
_FLAG = re.compile(r"(?<![\w-])--[a-z][\w-]*")
_PAGE = re.compile(r"docs/([\w/]+\.md)")


def pages() -> dict[str, str]:
    """The page of the commands."""
    root: Any = typer.main.get_command(command_line.app)
    every = _ordered(dict(_walk(root, "")))
    intro = wrapped(
        "`simko COMMAND --help` says the same in the terminal. A flag takes its value after a space or `=`: N is a whole "
        "number, X a number. A switch takes no value. Where it has a second name, that one turns it off."
    )
    sections = [
        f"## Exit codes\n\n{exit_codes()}",
        f"## Commands\n\n{overview(every)}",
        f"## simko\n\n{flag_table([p for p in root.params if not p.hidden])}",
        *(f"## simko {name}\n\n{section(name, command, every)}" for name, command in every.items()),
    ]
    return {"reference/cli.md": f"# The command line\n{MARKER}\n\n{intro}\n\n" + "\n\n".join(sections) + "\n"}


def _walk(group: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Each command below a group that is not hidden, by what is typed for it; a group before its commands."""
    for name, command in group.commands.items():
        if not command.hidden:
            yield prefix + name, command
            if hasattr(command, "commands"):
                yield from _walk(command, f"{prefix}{name} ")


def exit_codes() -> str:
    """The exit codes, from the docstring of the command line."""
    sentence = " ".join((command_line.__doc__ or "").partition("Exit codes: ")[2].split()).rstrip(".")
    codes = [part.partition(" ") for part in re.split(r", (?=\d)", sentence.replace(" and ", "&"))]
    return markdown(
        ("code", "meaning"),
        [[number.replace("&", ", "), meaning.replace("&", " and ")] for number, _, meaning in codes],
    )


def _ordered(every: dict[str, Any]) -> dict[str, Any]:
    """The commands in the order of `simko --help`, each group before its commands."""
    order = [name for names in COMMANDS.values() for name in names]
    tops = sorted(
        (name for name in every if " " not in name), key=lambda name: (name not in order, [*order, name].index(name))
    )
    return {name: every[name] for top in tops for name in every if name == top or name.startswith(f"{top} ")}


def overview(every: dict[str, Any]) -> str:
    """Each command with its first sentence."""
    rows = [
        [f"[`simko {name}`](#simko-{name.replace(' ', '-')})", cell(_marked(_sentence(command)))]
        for name, command in every.items()
    ]
    return markdown(("command", "what it does"), rows)


def _sentence(command: Any) -> str:
    return " ".join((command.help or "").split("\n\n")[0].split())


def section(name: str, command: Any, every: dict[str, Any]) -> str:
    """What one command does: its help, usage, examples, flags and pages."""
    pieces = [prose(command.help or ""), f"```text\n{usage(name, command)}\n```", examples(name)]
    params = [param for param in command.params if not param.hidden]
    lender, lent = _lent(name, params, every)
    panels: dict[str, list[Any]] = {}
    for param in params:
        if param not in lent:
            panels.setdefault(_panel(param), []).append(param)
    if not lent and not panels.keys() - {_ARGUMENTS, _OTHERS}:
        panels = {"": [param for of_panel in panels.values() for param in of_panel]}
    for panel in sorted(panels, key=lambda panel: panel == _OTHERS):
        pieces.append((f"### {panel}\n\n" if panel else "") + flag_table(panels[panel]))
        if panel == METHOD:
            pages_of = "[Training methods](../methods/README.md) has a page for each method."
            pieces.append(wrapped(f"{_marked(NOTES[METHOD])} {pages_of}"))
    pieces += [borrowed(lender, lent, every[lender])] if lent else []
    pieces += [prose(command.epilog or ""), see_also(name)]
    return "\n\n".join(piece for piece in pieces if piece)


def _panel(param: Any) -> str:
    if param.param_type_name == "argument":
        return _ARGUMENTS
    return getattr(param, "rich_help_panel", None) or _OTHERS


def usage(name: str, command: Any) -> str:
    """The line that is typed, with its arguments."""
    if hasattr(command, "commands"):
        return f"simko {name} COMMAND"
    words = [f"simko {name}", *(["[FLAGS]"] if any(p.param_type_name == "option" for p in command.params) else [])]
    for param in command.params:
        if param.param_type_name == "argument":
            word = (param.metavar or param.name.upper()).strip("[]")
            words.append(word if param.required else f"[{word}]")
    return " ".join(words)


def examples(name: str) -> str:
    """The examples of `--help`."""
    lines = [f"# {example.why}\n{example.line}" for example in examples_of(f"simko {name}")]
    about = "<!-- not run: the tests of the command line run those that are quick -->"
    return f"{about}\n```sh\n" + "\n".join(lines) + "\n```" if lines else ""


def flag_table(params: list[Any]) -> str:
    """A row for each argument or flag."""
    kinds = {param.param_type_name for param in params}
    header = (
        " or ".join(kind for kind in ("argument", "flag") if kind.replace("flag", "option") in kinds),
        *HEADER[1:],
    )
    return markdown(header, [_row(param) for param in params]) if params else ""


def _row(param: Any) -> list[str]:
    text = re.sub(r"\s+", " ", param.help or "")
    default = "" if param.default in (None, False, "", ()) or param.required else shown(param.default)
    if bracket := _BRACKETS.search(text):
        text, default = text[: bracket.start()], bracket[1]
    names = ", ".join(f"`{name}`" for name in sorted(param.opts, key=len, reverse=True))
    if param.secondary_opts:
        names += ", " + ", ".join(f"`{name}`" for name in param.secondary_opts)
    if param.param_type_name == "argument":
        names = f"`{(param.metavar or param.name.upper()).strip('[]')}`"
    return [names, _kind(param), f"`{default}`" if default else "", cell(_marked(text))]


def _kind(param: Any) -> str:
    if param.param_type_name == "argument":
        return "needed" if param.required else "may be left out"
    if param.is_flag:
        return "switch"
    words = (param.metavar or "TEXT").split("|")
    bounds = [f"at least {shown(param.min)}"] if param.min is not None else []
    bounds += [f"at most {shown(param.max)}"] if param.max is not None else []
    return ", ".join([*(f"`{word}`" if len(words) > 1 else word for word in words), *bounds])


def _lent(name: str, params: list[Any], every: dict[str, Any]) -> tuple[str, list[Any]]:
    """The command whose flags this one takes over, and those flags; "" and none where they are few."""
    best: tuple[str, list[Any]] = ("", [])
    for lender in _LENDERS if name not in _LENDERS else ():
        theirs = {(*param.opts, param.help) for param in every[lender].params if param.param_type_name == "option"}
        same = [p for p in params if p.param_type_name == "option" and (*p.opts, p.help) in theirs]
        best = max(best, (lender, same), key=lambda found: len(found[1]))
    return best if len(best[1]) > MOST_SHARED else ("", [])


def borrowed(lender: str, params: list[Any], command: Any) -> str:
    """The flags of another command that hold here, too: all but a few, or a list by panel."""
    link = f"[`simko {lender}`](#simko-{lender})"
    names = {_long(param) for param in params}
    rest = [param for param in command.params if param.param_type_name == "option" and _long(param) not in names]
    if len(rest) < len(params) / 2:
        without = ", ".join(f"`{_long(param)}`" for param in rest)
        text = wrapped(
            f"All other flags are those of {link}, with the same meaning. These of it are missing, or stand above: {without}."
        )
    else:
        panels: dict[str, list[str]] = {}
        for param in params:
            panels.setdefault(_panel(param), []).append(f"`{_long(param)}`")
        lines = [wrapped(f"- {panel}: {', '.join(of_panel)}", indent="  ") for panel, of_panel in panels.items()]
        text = f"These flags are those of {link}, with the same meaning:\n\n" + "\n".join(lines)
    return f"### Flags of simko {lender}\n\n{text}"


def _long(param: Any) -> str:
    return str(max(param.opts, key=len))


def prose(text: str) -> str:
    """Paragraphs of a help text, with flags as code and pages as links."""
    text = text.replace("Defaults stand in brackets; `tiny` has some of its own", "`tiny` has some defaults of its own")
    return "\n\n".join(wrapped(_marked(safe(" ".join(part.split())))) for part in text.split("\n\n") if part.strip())


def _marked(text: str) -> str:
    """The text with each flag in a code span, and each page as a link, but for what is in a code span already."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(
        part if i % 2 else _PAGE.sub(r"[\g<0>](../\1)", _FLAG.sub(r"`\g<0>`", part)) for i, part in enumerate(parts)
    )


def see_also(name: str) -> str:
    """Links to the pages that teach a command."""
    return wrapped(f"See also: {', '.join(f'[{title}]({path})' for title, path in SEE_ALSO[name])}.")
