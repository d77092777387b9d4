"""Chat templates: programs of a model's author that put messages into a prompt. What they do with a text is watched.

A template renders the messages themselves. It renders them a second time with marks inside, which show where each text stands.
Both renderings must agree, so a template that loses or changes a text is refused. White space around a text may go, and a text
may be written as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from simko.errors import UserError

DATE = "2024-07-26T00:00:00"
"""What the clock says to a template: the day that Llama 3's template names where it has no clock. The same on every day."""

Message = Mapping[str, str]  # role and content
_PROBES = ("is 2 < 3 & \"B\" > 'a'?\n{x} \\frac12 é", "It is.", "Then go ON\nto 3.")
_CLOCK, _RANDOM = "strftime_now", re.compile(r"\|\s*random\b|\blipsum\s*\(")
_LETTERS = "aAbBdHIjmMpSUwWyYfGuVxXc"  # of strftime, on every platform


class Piece(NamedTuple):
    """A part of a prompt. `message` is the number of the message whose text it is; None: the template's own text."""

    text: str
    message: int | None = None


class ChatTemplate:
    """The chat template of a tokenizer, with a clock that stands still at `date` (ISO 8601).

    Raises `UserError` if the template fails, draws random numbers, or does not keep a message's text.

    Attributes:
        reads_clock: whether a prompt depends on the date.
    """

    def __init__(self, tokenizer: Any, date: str = DATE) -> None:
        self._tokenizer = tokenizer
        self._options: dict[str, Any] = {}
        self.reads_clock = False
        text = _text(tokenizer)
        if _RANDOM.search(text):
            raise UserError(f"{self._file()}: the chat template draws random numbers; use template='plain'")
        question = [{"role": "user", "content": _PROBES[0]}]
        if _CLOCK in text:
            self._options = {"chat_template": _clock(datetime(1999, 12, 31, 23, 58, 57)) + text}
            others = self._examples(question)
            self._options = {"chat_template": _clock(datetime.fromisoformat(date)) + text}
            self.reads_clock = self._examples(question) != others
        self.prompt = self.render(question)
        """A prompt, in pieces."""

    def render(self, messages: Sequence[Message]) -> list[Piece]:
        """The prompt of some messages. Raises `UserError` if the template fails, or loses or changes a text."""
        whole = self._apply(messages)
        texts = [message["content"] for message in messages]
        stem = next(stem for n in range(1 << 30) if not any((stem := f"SIMKOmark{n}x") in text for text in texts))
        marked = [dict(message, content=_marked(message["content"], stem, i)) for i, message in enumerate(messages)]
        pieces = _pieces(self._apply(marked), stem)
        for i, (message, text) in enumerate(zip(messages, texts, strict=True)):
            if not text.strip():
                continue
            forms = _forms(text.strip())
            places = [piece.text for piece in pieces if piece.message == i]
            if not places or not forms.issuperset(places):
                raise self._refusal("changes" if places else "drops", message)
        if "".join(piece.text for piece in pieces) != whole:
            raise self._refusal("changes", messages[-1])
        return pieces

    def reply(self, text: str) -> list[Piece] | None:
        """What follows the assistant's first turn if the user answers `text`; None if the template takes no such turn."""
        talk = zip(("user", "assistant", "user"), (*_PROBES[:2], text), strict=True)
        try:
            pieces = self.render([{"role": role, "content": content} for role, content in talk])
        except UserError:
            return None
        own = max(i for i, piece in enumerate(pieces) if piece.message == 1)
        following = pieces[own + 1 :]
        return None if any(piece.message == 0 for piece in following) else following

    def probe_reply(self) -> list[Piece] | None:
        """The pieces of some reply."""
        return self.reply(_PROBES[2])

    def _examples(self, question: Sequence[Message]) -> list[str]:
        """A question alone, with a system message, and in a talk: where such things take a template to its clock."""
        system = {"role": "system", "content": _PROBES[1]}
        answered = [{"role": "assistant", "content": _PROBES[1]}, {"role": "user", "content": _PROBES[2]}]
        texts = [self._apply(question)]
        for messages in ([system, *question], [*question, *answered]):
            with suppress(UserError):  # a template may take neither
                texts.append(self._apply(messages))
        return texts

    def _apply(self, messages: Sequence[Message]) -> str:
        try:
            return str(
                self._tokenizer.apply_chat_template(
                    [dict(message) for message in messages], tokenize=False, add_generation_prompt=True, **self._options
                )
            )
        except Exception as error:  # a template is a program of the model's author: jinja raises what it likes
            reason = " ".join(str(error).split())[:200]
            system = any(message["role"] == "system" for message in messages)
            mend = "leave the system message out, or use" if system else "use"
            raise UserError(f"{self._file()}: the chat template fails ({reason}); {mend} template='plain'") from error

    def _refusal(self, verb: str, message: Message) -> UserError:
        return UserError(
            f"{self._file()}: the chat template {verb} the {message['role']}'s message {message['content'][:40]!r}; "
            "use template='plain' (--template plain), or mend the file"
        )

    def _file(self) -> str:
        """Where a user finds the template."""
        name = str(getattr(self._tokenizer, "name_or_path", "") or "the tokenizer")
        for file in ("chat_template.jinja", "tokenizer_config.json"):
            if (Path(name) / file).is_file():
                return str(Path(name) / file)
        return name


def _text(tokenizer: Any) -> str:
    """The template as text; empty where the tokenizer does not show it."""
    if hasattr(tokenizer, "get_chat_template"):
        try:
            return str(tokenizer.get_chat_template())
        except ValueError:  # several templates, and none is the default: `apply_chat_template` says so
            return ""
    template = getattr(tokenizer, "chat_template", None)
    return template if isinstance(template, str) else ""


def _marked(text: str, stem: str, number: int) -> str:
    """The text with marks around all but its outer white space, which a template may strip."""
    core = text.strip()
    start = text.index(core)
    return f"{text[:start]}{stem}{number}B{core}{stem}{number}E{text[start + len(core) :]}"


def _pieces(text: str, stem: str) -> list[Piece]:
    """A marked rendering without its marks."""
    parts = re.split(rf"{stem}(\d+)B(.*?){stem}\1E", text, flags=re.DOTALL)
    pieces = [Piece(part) for part in parts[::3]]
    for at in range(len(parts) // 3, 0, -1):
        pieces.insert(at, Piece(parts[3 * at - 1], int(parts[3 * at - 2])))
    return pieces


def _forms(text: str) -> set[str]:
    """The text, and how it may stand in JSON."""
    forms = {text, *(json.dumps(text, ensure_ascii=flag)[1:-1] for flag in (True, False))}
    escapes = str.maketrans({c: f"\\u{ord(c):04x}" for c in "<>&'"})  # as jinja's own filter `tojson` writes them
    return forms | {json.dumps(text)[1:-1].translate(escapes)}


def _clock(now: datetime) -> str:
    """A definition of `strftime_now` for the head of a template: transformers lets no function of ours through."""
    plain = {f"%{letter}": now.strftime(f"%{letter}") for letter in _LETTERS}
    short = {f"%-{letter}": str(int(now.strftime(f"%{letter}"))) for letter in "dmHIMSjyUW"}
    day = {"%D": "%m/%d/%y", "%F": "%Y-%m-%d", "%T": "%H:%M:%S", "%R": "%H:%M", "%h": "%b"}
    whole = {name: now.strftime(longer) for name, longer in day.items()} | {"%e": f"{now.day:2}", "%z": "", "%Z": ""}
    whole |= {"%k": f"{now.hour:2}", "%l": f"{(now.hour + 11) % 12 + 1:2}", "%P": now.strftime("%p").lower()}
    whole |= {"%n": "\n", "%t": "\t", "%s": str(int(now.replace(tzinfo=UTC).timestamp()))}
    steps = "".join(
        f" | replace({json.dumps(name)}, {json.dumps(value)})" for name, value in (plain | short | whole).items()
    )
    percent = " | replace('%%', '\\x00')"  # first, so that `%%d` is not a day
    return (
        f"{{%- macro {_CLOCK}(format) %}}{{{{- format{percent}{steps} | replace('\\x00', '%') -}}}}{{%- endmacro %}}\n"
    )
