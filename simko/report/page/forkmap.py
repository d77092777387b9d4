"""The forking map: the tokens of an answer shaded by entropy, and for each of them what else might have been said.

The details of a token are a row of a table, so that the page says all without a script. The script shows the row of the token
under the pointer or the keyboard. An answer may be long: the tokens with the highest entropy have details, as many as fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from simko.report.forks import Answer, Branch, ForkGroup, Forks, Token, branches
from simko.report.page.escape import esc, line, token
from simko.report.page.table import folded

BUDGET = 90_000  # bytes of the whole map
LEVELS = (0.01, 0.05, 0.15, 0.35, 0.7, 1.2, 2.0)
"""Nats between the shades of a token."""
_LEAST = 0.0005  # probability under either policy of a candidate that is listed
_OWN = ' class="own"'
_KN_OWN = {
    "gate": "passed the gate of high entropy",
    "shared": "reward shared with the candidates",
    "punished": "wrong and the likeliest: punished harder",
    "clip": "gradient clipped away",
    "chosen": "chosen by the method",
}
"""Words for what losses report. Another name stands as it is."""


def fork_map(forks: Forks) -> str:
    """Section 5, in at most about `BUDGET` bytes."""
    shown = [(group, answer) for group in forks.groups for answer in group.answers if answer.tokens]
    kept = _kept([answer for _, answer in shown])
    tokens = sum(len(answer.tokens) for _, answer in shown)
    details = sum(len(places) for places in kept.values())
    parts = [_legend(forks)]
    for number, group in enumerate(forks.groups):
        answers = [answer for answer in group.answers if answer.tokens]
        if answers:
            parts.append(_group(forks, group, answers, kept, number))
    if details < tokens:
        parts.append(
            f'<p class="note">{details:,} of {tokens:,} tokens have details: those with the highest entropy.</p>'
        )
    return "".join(parts)


def _kept(answers: Sequence[Answer]) -> dict[int, set[int]]:
    """For each answer by identity, the places of the tokens with details: the most uncertain ones of all that fit."""
    ranked = sorted(
        ((max(t.entropy, t.base_entropy), i, t) for i, answer in enumerate(answers) for t in answer.tokens),
        key=lambda entry: (-entry[0], entry[1], entry[2].place),
    )
    kept: dict[int, set[int]] = {id(answer): set() for answer in answers}
    left = BUDGET - 2_000 * len(answers) - 45 * len(ranked)
    for _, i, t in ranked:
        left -= 230 + 45 * len(t.candidates)
        if left < 0:
            break
        kept[id(answers[i])].add(t.place)
    return kept


def _legend(forks: Forks) -> str:
    shades = "".join(f'<span class="t e{i}">{label}</span>' for i, label in enumerate(_shade_names()))
    at = f"step {forks.step}" if forks.step is not None else "the run's adapter"
    return (
        f'<p class="legendline">Entropy in nats: <span class="map">{shades}</span></p>'
        f'<p class="note">After: {line(forks.model)} with the adapter of {at}. Before: the model without it. Probabilities are '
        f"at temperature {forks.temperature:g}, and nothing is cut off. "
        '<span class="t g">Underlined</span>: passed the gate of the method; <span class="t g s">double</span>: reward shared; '
        '<span class="t g p">wavy</span>: punished harder. What the method did is what the loss of '
        f"{line(forks.algorithm)} itself reports with this adapter.</p>"
        '<p class="needs-script" hidden><label><input type="checkbox" id="shade-before"> Shade by the entropy before training'
        '</label> <span class="note">Point at a token, tap it, or take Tab and the arrow keys.</span></p>'
    )


def _shade_names() -> list[str]:
    return [f"&lt;{LEVELS[0]:g}", *(f"{low:g}" for low in LEVELS[:-1]), f"≥{LEVELS[-1]:g}"]


def _group(forks: Forks, group: ForkGroup, answers: Sequence[Answer], kept: Mapping[int, set[int]], number: int) -> str:
    right = sum(answer.outcome == "correct" for answer in group.answers)
    where = (
        f"trained on in step {group.step}"
        if group.source == "step"
        else "of the evaluation; its tokens were made from text"
    )
    head = f"<h3>{line(group.task, 80)} <small>{where}; {right} of {len(group.answers)} right</small></h3>"
    problem = f'<p class="problem">{esc(group.problem, 600)}</p>'
    blocks = "".join(
        _answer(forks, group, answer, kept[id(answer)], f"m{number}-{i}") for i, answer in enumerate(answers)
    )
    panel = f'<div class="panel needs-script" id="panel-{number}" role="status" hidden></div>'
    inner = f'{head}{problem}<div class="side"><div>{blocks}</div>{panel}</div>'
    return f'<div class="forks" data-panel="panel-{number}">{inner}</div>'


def _answer(forks: Forks, group: ForkGroup, answer: Answer, places: set[int], mark: str) -> str:
    taken = branches(group, answer)
    by_place = {t.place: t for t in answer.tokens}
    spans, rows = [], []
    for place, id in enumerate(answer.ids):
        text = token(forks.texts.get(id, f"<id {id}>"))
        t = by_place.get(place)
        if t is None:
            spans.append(f'<span class="env">{text}</span>')
            continue
        classes = f"t e{_level(t.entropy)} b{_level(t.base_entropy)}{_marks(t)}"
        if place in places:
            spans.append(f'<span class="{classes} d" title="{_title(forks, t)}">{text}</span>')
            rows.append(_row(forks, answer, t, taken[place], place))
        else:
            spans.append(f'<span class="{classes}">{text}</span>')
    verdict = "right" if answer.outcome == "correct" else "wrong" if answer.outcome == "incorrect" else "other"
    told = esc(answer.outcome.replace("_", " "))
    gain = _advantage(answer) if group.source == "step" else "not trained on"
    table = (
        f'<div class="wide" tabindex="0" role="group" aria-label="Tokens of sample {answer.sample}"><table class="tokens">'
        '<thead><tr><th scope="col">token</th><th scope="col">entropy before → after</th>'
        '<th scope="col">candidates: before, after (%)</th><th scope="col">the method</th>'
        '<th scope="col">where the group went on</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
    return (
        f'<div class="answer" id="{mark}"><p class="who"><b class="v {verdict}">{told}</b> sample {answer.sample}, {gain}</p>'
        f'<p class="map tokens-line" aria-label="Tokens of sample {answer.sample}">{"".join(spans)}</p>'
        f"{folded(f'Table of {len(rows)} tokens', table)}</div>"
    )


def _advantage(answer: Answer) -> str:
    values = {round(t.advantage, 2) for t in answer.tokens}
    if not answer.moved or values == {0.0}:
        return "no advantage: it moves nothing"
    if len(values) == 1:
        return f"advantage {next(iter(values)):+.2f}".replace("-", "−")
    return f"advantage by token from {min(values):+.2f} to {max(values):+.2f}".replace("-", "−")


def _level(entropy: float) -> int:
    return sum(entropy >= edge for edge in LEVELS)


def _marks(t: Token) -> str:
    marks = (("gate", "g"), ("shared", "s"), ("punished", "p"))
    return "".join(f" {letter}" for name, letter in marks if t.did.get(name))


def _title(forks: Forks, t: Token) -> str:
    """The likeliest candidates in one line, for readers without a script."""
    top = [f"{forks.texts.get(id, id)} {100 * base:.0f}→{100 * new:.0f}" for id, base, new in t.candidates[:3]]
    return line(", ".join(top), 90)


def _row(forks: Forks, answer: Answer, t: Token, taken: Sequence[Branch], place: int) -> str:
    own = answer.ids[place]
    listed = [c for c in t.candidates if max(c[1:]) >= _LEAST or c[0] == own]
    if own not in {id for id, _, _ in listed}:
        listed.append((own, t.base_p, t.p))
    candidates = "".join(
        f"<b{_OWN if id == own else ''}>{token(forks.texts.get(id, str(id)))}</b><i>{_pc(base)}→{_pc(new)}</i> "
        for id, base, new in listed
    )
    total = sum(branch.count for branch in taken)
    went = "" if total < 2 else f"of {total} answers with this beginning: " + ", ".join(
        f"“{token(forks.texts.get(branch.id, str(branch.id)))}” by {branch.count} ({branch.right} right)" for branch in taken[:6]
    )  # fmt: skip
    did = ", ".join(_words(name, value) for name, value in t.did.items())
    return (
        f'<tr><th scope="row">{token(forks.texts.get(own, str(own)))}</th><td>{t.base_entropy:.2f} → {t.entropy:.2f}</td>'
        f"<td>{candidates}</td><td>{did}</td><td>{went}</td></tr>"
    )


def _words(name: str, value: float) -> str:
    known = esc(_KN_OWN.get(name, name.replace("_", " ")))
    return known if value == 1 else f"{known} {value:.3g}"


def _pc(p: float) -> str:
    return f"{100 * p:.1f}"
