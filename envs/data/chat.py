"""Problems in chat form: a list of messages, as verl, TRL, OpenAI and ShareGPT write them.

A chat is a problem if it holds one user message, and before it at most one system (or developer) message. Everything
else has no place in a task of one question: earlier turns, the assistant's answer, tools, images.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from simko.envs.data.rows import text_of

CHAT_COLUMNS = ("prompt", "messages", "conversations", "conversation")
"""Columns that may hold the problem as a chat."""
_SYSTEM_COLUMNS = ("system", "system_prompt")
_MEDIA = ("image", "images", "video", "videos", "audio", "audios")
_MORE = (*_MEDIA, "tools", "tool_calls", "tool_call_id", "function_call", "functions")
_ROLES = {"system": "system", "developer": "system", "user": "user", "human": "user"}
_TEXT_PARTS = ("text", "input_text")
_LOOKS_LIKE_CHAT = re.compile(r"""\s*\[?\s*\{\s*["'](?:role|content|from|value)["']\s*:""")
_RENDERED = re.compile(
    r"<\|im_start\|>|<\|start_header_id\|>|<start_of_turn>|<[|｜](?:User|Assistant|user|assistant)[|｜]>"
)
"""Marks of a chat that some model's template has already put into one text."""
MEND = "give one user message, and before it at most one system message"


class Asked(NamedTuple):
    """What a row asks: the problem, and the system message before it. None: there is no system message."""

    problem: str
    system: str | None = None


def asked(value: Any, row: Mapping[str, Any]) -> Asked | None:
    """What the value of a problem column asks: a text, or a chat (also as JSON text). None if it is neither.

    `row` is the whole row. Its column `system` or `system_prompt` is the system message of a problem that has none of its
    own. Raises `ValueError` that says what is wrong and how to mend it, for a chat with anything else in it and for a row
    with images.
    """
    for column in _MEDIA:
        if row.get(column):
            raise ValueError(f"the row has '{column}', which no prompt can hold; give problems of text alone")
    messages = _messages(value)
    if messages is None:
        problem, system = text_of(value), None
    else:
        if row.get("tools"):
            raise ValueError(f"the row has 'tools', which no prompt can hold; {MEND}")
        problem, system = _one_question(messages)
    if problem is None:
        return None
    if mark := _RENDERED.search(problem):
        raise ValueError(f"the text has {mark[0]!r}, so a chat template has rendered it already; {MEND}")
    for column in _SYSTEM_COLUMNS:
        beside = row.get(column)
        if beside is None or beside == "":
            continue
        if not isinstance(beside, str) or text_of(beside) is None:
            raise ValueError(f"column '{column}' is {beside!r:.60}; it must be text")
        if system is not None and system != beside:
            raise ValueError(f"the system message and the column '{column}' differ; leave one out")
        system = beside
    return Asked(problem, system)


def _messages(value: Any) -> list[Any] | None:
    """The messages of a chat in any of its forms. None if `value` is no chat. Raises `ValueError` for a broken one."""
    if isinstance(value, str):
        if value.lstrip()[:1] not in ("[", "{"):
            return None
        looks = _LOOKS_LIKE_CHAT.match(value)
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            if not looks:
                return None
            raise ValueError("it looks like a chat, but it is not JSON; write the messages as JSON") from error
        if not looks and not _has_roles(value):
            return None
    if isinstance(value, Mapping):
        if isinstance(value.get("messages"), list | tuple):
            return list(value["messages"])
        columns = [name for name in ("role", "from", "content", "value") if isinstance(value.get(name), list)]
        if len(columns) == 2 and len(value[columns[0]]) == len(value[columns[1]]):  # as `datasets` gives a Sequence
            return [dict(zip(columns, pair, strict=True)) for pair in zip(*(value[c] for c in columns), strict=True)]
        return [value] if _field(value, "role", "from") is not None else None
    return list(value) if isinstance(value, list | tuple) else None


def _has_roles(value: Any) -> bool:
    """Whether a value of JSON is a chat: a message, a list of them, or an object with such a list as `messages`."""
    if isinstance(value, Mapping):
        return "role" in value or "from" in value or _has_roles(value.get("messages"))
    return isinstance(value, list) and any(isinstance(item, Mapping) and _has_roles(item) for item in value)


def _one_question(messages: list[Any]) -> Asked:
    """The problem and the system message of a chat. Raises `ValueError` for any other chat."""
    if not messages:
        raise ValueError(f"the chat has no message; {MEND}")
    texts: list[tuple[str, str]] = []
    for number, message in enumerate(messages, 1):
        if not isinstance(message, Mapping):
            raise ValueError(f"message {number} is {message!r:.40}, not an object of role and content; {MEND}")
        role = _field(message, "role", "from")
        name = _ROLES.get(role.strip().lower()) if isinstance(role, str) else None
        if name is None:
            at_end = "at the end " if number == len(messages) > 1 else ""
            raise ValueError(f"message {number} of the chat {at_end}is of role {role!r:.40}; {MEND}")
        if more := next((field for field in _MORE if message.get(field)), None):
            raise ValueError(f"message {number} of the chat has '{more}', which no prompt can hold; {MEND}")
        texts.append((name, _text(_field(message, "content", "value"), number)))
    roles = [role for role, _ in texts]
    if "user" not in roles:
        raise ValueError(f"the chat has no user message; {MEND}")
    if roles not in (["user"], ["system", "user"]):
        raise ValueError(f"the messages of the chat are {', '.join(roles)}; {MEND}")
    problem = texts[-1][1]
    if text_of(problem) is None:
        raise ValueError(f"the user message is {problem!r:.40}; it must be text, not blank")
    return Asked(problem, texts[0][1] if len(texts) == 2 else None)


def _field(message: Mapping[str, Any], *names: str) -> Any:
    """The first of the fields that is there. A field of a parquet file that a row does not use is None."""
    return next((message[name] for name in names if message.get(name) is not None), None)


def _text(content: Any, number: int) -> str:
    """The text of a message: a text, or parts that are all text. They are joined by line breaks, as vLLM does."""
    parts = content if isinstance(content, list | tuple) else [content]
    texts = []
    for part in parts:
        if isinstance(part, Mapping):
            kind = part.get("type") or "text"
            other = next((key for key, value in part.items() if key not in ("type", "text") and _holds(value)), None)
            if kind not in _TEXT_PARTS or (other in (*_MEDIA, "image_url", "input_audio", "file")):
                raise ValueError(
                    f"message {number} of the chat has a part of type {other or kind!r:.40}; {MEND}, of text"
                )
            part = part.get("text")
        if not isinstance(part, str):
            raise ValueError(f"message {number} of the chat is {content!r:.40}; it must be text")
        texts.append(part)
    try:
        "".join(texts).encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"message {number} of the chat has half of a character; write it as UTF-8") from error
    return "\n".join(texts)


def _holds(value: Any) -> bool:
    return value is not None and value != "" and value != [] and value != {}
