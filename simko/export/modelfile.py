"""The `Modelfile` beside a GGUF file, by which Ollama asks it as the policy was trained to be asked.

The prompt template is found by what it does, not by its name: a few talks are rendered, the text around the messages is cut
out, and put together as a plain template of Go. It is used if it gives all those talks again, letter by letter. A chat template
that is more than text around messages gets the form of a single turn.

Source: docs/modelfile.mdx and docs/template.mdx of github.com/ollama/ollama.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from simko.envs import PromptFormat
from simko.envs.chat import ChatTemplate, Message
from simko.errors import UserError
from simko.types import Sampling

_SYSTEM, _USER, _REPLY, _AGAIN = "Be brief and kind.", "What is 2 + 3?", "It is five.", "And 4 + 5?"
_MARK = "SIMKO-MARK"


@dataclass(frozen=True)
class Frames:
    """Text around the messages of a chat.

    Attributes:
        before_system, after_system: of a system message.
        default_system: the message that stands there if none was given; None if there is no place for one.
        always: whether these two stand even round nothing.
        before_user, after_user: of a question. `after_user` opens the answer.
        after_reply: closes an answer.
        opening: further text before the next answer, after the last question.
    """

    before_system: str
    after_system: str
    default_system: str | None
    always: bool
    before_user: str
    after_user: str
    after_reply: str
    opening: str

    def render(self, messages: Sequence[Message]) -> str:
        """The prompt of a talk, as Ollama makes it of `template`."""
        system = next((m["content"] for m in messages if m["role"] == "system"), self.default_system or "")
        text = self.before_system + system + self.after_system if system or self.always else ""
        for message in messages:
            if message["role"] == "user":
                text += self.before_user + message["content"] + self.after_user
            elif message["role"] == "assistant":
                text += message["content"] + self.after_reply
        return text + self.opening

    def template(self) -> str:
        """The same as a template of Go."""
        system = f"{_go(self.before_system)}{{{{ .System }}}}{_go(self.after_system)}"
        if self.default_system is None:
            system = ""
        elif not self.always:
            system = f"{{{{ if .System }}}}{system}{{{{ end }}}}"
        user = f"{_go(self.before_user)}{{{{ .Content }}}}{_go(self.after_user)}"
        reply = f"{{{{ .Content }}}}{_go(self.after_reply)}"
        return (
            f'{system}{{{{ range .Messages }}}}{{{{ if eq .Role "user" }}}}{user}'
            f'{{{{ else if eq .Role "assistant" }}}}{reply}{{{{ end }}}}{{{{ end }}}}{_go(self.opening)}'
        )


def chat_frames(tokenizer: object, bos: str = "", date: str | None = None) -> Frames | None:
    """The frames of a tokenizer's chat template; None if it is not text around messages.

    `bos` is the text of the token that the reader of the file puts before each prompt, so it is left out here.
    """
    system: Message = {"role": "system", "content": _SYSTEM}
    user: Message = {"role": "user", "content": _USER}
    talk: list[Message] = [user, {"role": "assistant", "content": _REPLY}, {"role": "user", "content": _AGAIN}]
    try:
        chat = ChatTemplate(tokenizer, date) if date else ChatTemplate(tokenizer)
        rendered = {len(messages): _text(chat, messages, bos) for messages in ([user], talk)}
        start, rest = rendered[1].split(_USER)
        question, between = rendered[3].split(_USER)[1].split(_REPLY)
        between = between.split(_AGAIN)[0]
    except (UserError, ValueError):
        return None
    after_user = _shared(question, rest)
    before_system = after_system = ""
    default: str | None = None
    has_system, before_user = True, start
    try:
        before_system, after = _text(chat, [system, user], bos).split(_USER)[0].split(_SYSTEM)
    except (UserError, ValueError):
        has_system = False
    if has_system:
        shared = _shared(start[::-1], between[::-1], after[::-1])[::-1]
        before_user = _last_opening(shared, before_system)
        after_system, default = after.removesuffix(before_user), ""
        if start != before_user:
            default = start.removeprefix(before_system).removesuffix(after)
    frames = Frames(
        before_system=before_system,
        after_system=after_system,
        default_system=default,
        always=has_system and start != before_user and not default,
        before_user=before_user,
        after_user=after_user,
        after_reply=between.removesuffix(before_user),
        opening=rest.removeprefix(after_user),
    )
    talks: list[list[Message]] = [[user], talk, *([[system, user], [system, *talk]] if has_system else [])]
    return frames if all(frames.render(messages) == _text(chat, messages, bos) for messages in talks) else None


def go_template(words: PromptFormat, template: str, bos: str = "") -> tuple[str, str | None, bool]:
    """Template of Go, default system message and whether it takes several turns, for prompts of `words`.

    `template` is the run's setting, as `chat` or `plain`.
    """
    chat = template == "chat" and getattr(words.tokenizer, "chat_template", None)
    frames = chat_frames(words.tokenizer, bos, words.date) if chat else None
    if frames is not None:
        return frames.template(), frames.default_system, True
    before, after = words.prompt_text(_MARK).removeprefix(bos).split(_MARK)[:2]
    system = "" if chat else "{{ if .System }}{{ .System }}\n\n{{ end }}"
    after = after.removeprefix(words.instruction)
    return f"{_go(before)}{system}{{{{ .Prompt }}}}{_go(after)}", None, False


def modelfile(
    file: str,
    template: str,
    system: str | None,
    stops: Iterable[str],
    sampling: Sampling,
    notes: Sequence[str] = (),
) -> str:
    """The text of a Modelfile for the GGUF file `file`, which lies beside it.

    `sampling` gives temperature, top-p and the budget of an answer. Ollama's own defaults of top-k and of a penalty for repeats
    would change what is sampled, so both are switched off.
    """
    lines = [f"# {line}" for note in notes for line in note.splitlines()]
    lines += [f"FROM ./{file}", f"TEMPLATE {_quoted(template)}"]
    if system:
        lines.append(f"SYSTEM {_quoted(system)}")
    lines += [f"PARAMETER stop {_string(stop)}" for stop in dict.fromkeys(stops) if stop and "\n" not in stop]
    lines += [
        f"PARAMETER temperature {sampling.temperature:g}",
        f"PARAMETER top_p {sampling.top_p:g}",
        "PARAMETER top_k 0",
        "PARAMETER repeat_penalty 1",
        f"PARAMETER num_predict {sampling.max_new_tokens}",
    ]
    return "\n".join(lines) + "\n"


def _text(chat: ChatTemplate, messages: Sequence[Message], bos: str) -> str:
    return "".join(piece.text for piece in chat.render(messages)).removeprefix(bos)


def _last_opening(shared: str, before_system: str) -> str:
    """The part of `shared` that opens a turn, in the way that `before_system` does; all of it where nothing tells."""
    lengths = [len(_shared(shared[at:], before_system)) for at in range(len(shared))]
    most = max(lengths, default=0)
    return shared[len(lengths) - 1 - lengths[::-1].index(most) :] if most > 2 else shared


def _shared(*texts: str) -> str:
    """What all texts begin with."""
    columns = takewhile(lambda letters: len(set(letters)) == 1, zip(*texts, strict=False))
    return "".join(letters[0] for letters in columns)


def _go(text: str) -> str:
    """Text as it stands in a template of Go."""
    return text.replace("{{", '{{ "{{" }}')


def _quoted(text: str) -> str:
    if '"""' in text:
        raise UserError(
            'export: --gguf: the prompt has """ in it, which a Modelfile cannot hold; use another --template'
        )
    return f'"""{text}"""'


def _string(text: str) -> str:
    return '"' + text.replace('"', '\\"') + '"'
