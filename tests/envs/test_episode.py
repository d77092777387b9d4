from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence

import fake_envs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simko.envs import ByteTokenizer, Episode, PromptFormat
from simko.types import Task

BYTES = ByteTokenizer()
TASK = Task("t", "problem", "gold")
EOS = 256
FORMAT = PromptFormat(BYTES)
TOKENS = st.lists(st.sampled_from([*b"ab;\n", 0xC3, 0xA9, EOS, 257]), max_size=24)
STOPS = st.lists(st.sampled_from([";", "ab", "é", "\nb", "aba", "\u20ac"]), max_size=3).map(tuple)


def episode(budget: int = 20, stop: tuple[str, ...] = (), reply: Callable[..., str | None] | None = None) -> Episode:
    return Episode(TASK, [1, 2], FORMAT, budget, stop, reply)


def says(*texts: str | None) -> Callable[[Task, Sequence[str]], str | None]:
    return lambda task, turns: texts[len(turns) - 1]


def state(e: Episode) -> tuple[object, ...]:
    return (e.ids, e.sampled, e.terminated, e.truncated, e.turns)


def test_eos_terminates() -> None:
    e = episode()
    assert e.extend([*b"hi", EOS]) == 3
    assert state(e) == ([*b"hi", EOS], [True] * 3, True, False, ["hi"])
    assert (e.text, e.finish, e.done, e.budget_left) == ("hi", "stop", True, 17)


def test_eos_at_the_first_token() -> None:
    e = episode()
    assert e.push(EOS)
    assert state(e) == ([EOS], [True], True, False, [""])
    assert e.text == ""


def test_truncation_exactly_at_the_budget() -> None:
    e = episode(3)
    assert [e.push(t) for t in b"ab"] == [False, False]
    assert not e.done
    assert e.push(ord("c"))
    assert state(e) == ([*b"abc"], [True] * 3, False, True, ["abc"])
    assert (e.text, e.finish, e.budget_left) == ("abc", "length", 0)


def test_eos_as_the_last_token_of_the_budget_terminates() -> None:
    e = episode(3)
    e.extend([*b"ab", EOS])
    assert (e.terminated, e.truncated) == (True, False)


def test_stop_string_straddles_tokens_and_is_graded() -> None:
    e = episode(stop=("</a>",))
    assert e.extend(b"x</a>y") == 5
    assert (e.text, e.terminated) == ("x</a>", True)
    assert bytes(e.ids) == b"x</a>"


def test_stop_string_inside_a_token() -> None:
    class Pairs(ByteTokenizer):
        def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = False) -> str:
            return "".join("" if t == EOS else f"<{t}>\n." for t in token_ids)

    e = Episode(TASK, [1], PromptFormat(Pairs()), 9, ("\n",))
    e.push(7)
    assert (e.text, e.terminated) == ("<7>\n", True)  # what the token says beyond the stop string is left out


def test_stop_string_that_begins_with_a_blank() -> None:
    class Stripping(ByteTokenizer):
        """Drops the blank at the head of a text, as sentencepiece does."""

        def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = False) -> str:
            return super().decode(token_ids, skip_special_tokens).removeprefix(" ")

    e = Episode(TASK, [1], PromptFormat(Stripping()), 99, (" b",))
    assert e.extend(b" aaaaaaaaaa b") == 13
    assert (e.text, e.terminated) == ("aaaaaaaaaa b", True)


def test_stop_string_of_several_bytes_ends_with_its_last_byte() -> None:
    e = episode(stop=("é",))
    assert e.extend("aé".encode()[:2]) == 2
    assert not e.done
    e.push(0xA9)
    assert (e.text, e.terminated) == ("aé", True)


def test_earliest_of_two_stop_strings_ends_the_text() -> None:
    e = episode(stop=("bc", "abc"))
    e.extend(b"xabc")
    assert e.text == "xabc"


def test_reply_is_appended_and_the_policy_goes_on() -> None:
    e = episode(reply=says("no", None))
    assert e.extend([*b"1", EOS, *b"99"]) == 2  # what was sampled beyond the turn's end is not part of the answer
    assert e.ids == [*b"1", EOS, *b"\nno\n"]
    assert not e.done
    e.extend([*b"2", EOS])
    assert e.sampled == [True, True, *[False] * 4, True, True]
    assert (e.turns, e.text, e.terminated) == (["1", "2"], "1\n2", True)


def test_reply_sees_the_turns_so_far() -> None:
    seen: list[tuple[Task, tuple[str, ...]]] = []

    def listen(task: Task, turns: Sequence[str]) -> str | None:
        seen.append((task, tuple(turns)))
        return "go on" if len(turns) == 1 else None

    e = episode(stop=(";",), reply=listen)
    e.extend(b"a;")
    e.extend([*b"b", EOS])
    assert seen == [(TASK, ("a;",)), (TASK, ("a;", "b"))]


def test_reply_that_does_not_fit_is_cut_by_the_budget() -> None:
    e = episode(5, reply=says("a long reply"))
    e.extend([*b"1", EOS])
    assert state(e) == ([*b"1", EOS, *b"\na "], [True, True, False, False, False], False, True, ["1"])


def test_reply_that_leaves_no_room_to_answer_truncates() -> None:
    e = episode(6, reply=says("no"))
    e.extend([*b"1", EOS])
    assert (len(e.ids), e.terminated, e.truncated) == (6, False, True)


@pytest.mark.parametrize(("reply", "terminated"), [(None, True), ("no", False)])
def test_turn_that_ends_with_the_budget(reply: str | None, terminated: bool) -> None:
    e = episode(2, reply=says(reply))
    e.extend([*b"1", EOS])
    assert (e.terminated, e.truncated) == (terminated, not terminated)
    assert e.ids == [*b"1", EOS]


def test_stop_strings_are_looked_for_in_one_turn_only() -> None:
    e = episode(stop=("ab",), reply=says("x", None))
    e.extend([*b"a", EOS])
    e.extend(b"b")
    assert not e.done


def test_after_a_stop_string_a_chat_reply_closes_the_turn_itself() -> None:
    tokenizer = fake_envs.chat_tokenizer()
    format = PromptFormat(tokenizer)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    answer = tokenizer.encode("3;", add_special_tokens=False)
    by_stop = Episode(TASK, [1], format, 99, (";",), says("no"))
    by_stop.extend(answer)
    by_token = Episode(TASK, [1], format, 99, (), says("no"))
    by_token.extend([*answer, end])
    assert by_stop.ids == by_token.ids
    assert by_stop.sampled != by_token.sampled


def test_no_token_after_the_end() -> None:
    e = episode()
    e.push(EOS)
    with pytest.raises(ValueError, match="task 't' is over"):
        e.push(1)
    assert e.extend([1, 2]) == 0


@given(TOKENS, STOPS, st.integers(1, 24), st.lists(st.sampled_from(["", "no", "ab;"]), max_size=2))
def test_against_a_slow_reference(tokens: list[int], stop: tuple[str, ...], budget: int, texts: list[str]) -> None:
    e = episode(budget, stop, says(*texts, None))
    rest = list(tokens)
    while rest and not e.done:
        rest = rest[e.extend(rest) :]
        assert len(e.ids) == len(e.sampled) <= budget
    assert state(e) == reference(tokens, stop, budget, texts)
    assert not (e.terminated and e.truncated)
    assert not any(s in turn[:-1] for s in stop for turn in e.turns)
    assert e.budget_left == budget - len(e.ids)


def reference(tokens: list[int], stop: tuple[str, ...], budget: int, texts: list[str]) -> tuple[object, ...]:
    """The same rules with everything decoded anew at each token."""
    ids: list[int] = []
    sampled: list[bool] = []
    turns: list[str] = []
    turn: list[int] = []
    replies = [*texts, None]

    def shown(t: list[int]) -> str:
        text = bytes(i for i in t if i < 256).decode(errors="replace")
        at = min((text.find(s) for s in stop if s in text), default=-1)
        return text if at < 0 else text[:at] + max((s for s in stop if text.startswith(s, at)), key=len)

    for token in tokens:
        ids, sampled, turn = [*ids, token], [*sampled, True], [*turn, token]
        whole = bytes(i for i in turn if i < 256).decode(errors="replace")
        if token == EOS or any(s in whole for s in stop):
            turns, turn = [*turns, shown(turn)], []
            reply = replies[len(turns) - 1]
            if reply is None:
                return ids, sampled, True, False, turns
            reply_ids = list(f"\n{reply}\n".encode())[: budget - len(ids)]
            ids, sampled = ids + reply_ids, sampled + [False] * len(reply_ids)
        if len(ids) == budget:
            return ids, sampled, False, True, [*turns, shown(turn)] if turn else turns
    return ids, sampled, False, False, [*turns, shown(turn)] if turn else turns


def test_pickle() -> None:
    e = Episode(TASK, [1], FORMAT, 40, (";",), fake_envs.again)
    e.extend(b"1;")
    copy = pickle.loads(pickle.dumps(e))
    e.extend(b"2;")
    copy.extend(b"2;")
    assert state(copy) == state(e)


def thinking(stop: tuple[str, ...] = (), reply: Callable[..., str | None] | None = None, last: bool = False) -> Episode:
    return Episode(TASK, [1], FORMAT, 99, stop, reply, last, "<think>\n")


def test_an_answer_in_an_opened_thought_begins_with_what_opened_it() -> None:
    e = thinking()
    assert e.text == ""
    e.extend([*b"4", EOS])
    assert e.text == "<think>\n4"
    e = thinking()
    e.extend(b"<think> so</think>4")  # the model opens it again: it is one thought
    assert e.text == "<think> so</think>4"


def test_a_thought_goes_on_over_a_reply_between_line_breaks() -> None:
    texts = {}
    for last in (False, True):
        e = thinking(("</calc>",), says("2", None), last)
        e.extend(b"<calc>1+1</calc>")
        e.extend([*b"so </think>2", EOS])
        texts[last] = e.text
    assert texts == {False: "<think>\n<calc>1+1</calc>\nso </think>2", True: "<think>\nso </think>2"}


def test_a_new_turn_of_a_chat_opens_a_thought_of_its_own() -> None:
    format = PromptFormat(fake_envs.chat_tokenizer(fake_envs.CHAT + "{{ '<think>\\n' }}"))
    end = min(format.stop_ids)
    for first, joined in (("5", "<think>\n5\n</think>\n"), ("5</think>5", "<think>\n5</think>5\n")):
        e = Episode(TASK, [1], format, 99, (), says("no", None), thought=format.thought("x"))
        for turn in (first, "6</think>7"):
            e.extend([*format.tokenizer.encode(turn, add_special_tokens=False), end])
        assert e.text == joined + "<think>\n6</think>7"
