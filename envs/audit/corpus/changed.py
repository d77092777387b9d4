r"""Wrong answers that look like the gold answer: each has one small change, which is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from random import Random

from simko.envs.audit.corpus.golds import OTHER_UNIT, WORDS, Gold, decimal, has_decimal

Forms = Iterator[tuple[str, str]]
_SCALAR = ("integer", "decimal", "tiny", "fraction", "surd", "pi", "percent", "degrees", "money", "quantity")
_MATHS = (*_SCALAR, "polynomial", "rational", "tuple", "interval", "ray", "set", "list", "matrix")


def changed(gold: Gold, rng: Random) -> Forms:
    """Yield name and text of every answer that is nearly the gold answer."""
    if gold.kind in _MATHS:
        yield from changed_in_general(gold)
    if gold.kind in ("integer", "fraction", "surd", "pi", "decimal"):
        yield from _of_a_value(gold)
    yield from _WRITERS[gold.kind](gold, rng)


def changed_in_general(gold: Gold) -> Forms:
    """Yield changes that apply to any answer: relations, negations, a second answer. `gold.text` must not hold `987`."""
    text = gold.text
    yield "not equal", f"\\neq {text}"
    yield "named, not equal", f"x \\ne {text}"
    yield "about", f"\\approx {text}"
    yield "at least", f"\\ge {text}"
    yield "less", f"< {text}"
    yield "not", f"\\text{{not }} {text}"
    yield "negated", f"\\neg {text}"
    yield "a question", f"{text}?"
    yield "or another", f"{text} \\text{{ or }} 987"
    yield "and another", f"{text}, 987"
    yield "equal to another", f"{text} = 987"
    yield "another equal to it", f"987 = {text}"
    yield "named twice", f"x = 987 = {text}"
    yield "goes to another", f"{text} \\to 987"
    yield "about another", f"{text} \\approx 987"


def _of_a_value(gold: Gold) -> Forms:
    text = gold.text
    yield "minus in front", f"-({text})"
    yield "plus or minus", f"\\pm {text}" if text[0] != "-" else f"\\pm {text[1:]}"
    yield "an interval about it", f"{text} \\pm 1"
    yield "a factor", f"{text} \\cdot 10"
    yield "a variable", f"{text}x"
    yield "imaginary", f"{text}i"
    yield "squared", f"({text})^2" if gold.kind != "integer" or gold.parts["n"] != 1 else "4"
    yield "its root", f"\\sqrt{{{text}}}"
    yield "its reciprocal", f"\\frac{{1}}{{{text}}}"
    yield "a base", f"{text}_5"
    yield "a base in parentheses", f"({text})_{{5}}"
    yield "a modulus", f"{text} \\pmod{{7}}"
    yield "thousand", f"{text} \\text{{ thousand}}"
    yield "a little more", f"{text} + 10^{{-9}}"
    yield "x + 1 is another", "x + 1 = 987"
    yield "twice x is ten times it", f"2x = 10 \\cdot {text}"
    yield "minus x is another", f"-x = 987 = {text}"
    yield "x squared is not it", f"x^2 \\ne {text}"
    yield "a system", f"2x = {text}, 3y = {text}"
    yield "the logarithm", f"\\log {text}"
    yield "a tuple with it", f"({text}, 0)"
    yield "half a bracket", f"({text}"
    yield "words around", f"{text} \\text{{ is wrong}}"
    yield "words in front", f"\\text{{less than }} {text}"


def _swapped(digits: str) -> str | None:
    """Two unequal neighbouring digits change places."""
    for i in range(len(digits) - 1):
        if digits[i : i + 2].isdigit() and digits[i] != digits[i + 1]:
            return digits[:i] + digits[i + 1] + digits[i] + digits[i + 2 :]
    return None


def _integer(gold: Gold, rng: Random) -> Forms:
    n = gold.parts["n"]
    text = str(n)
    yield "sign", str(-n)
    yield "one more", str(n + 1)
    yield "one less", str(n - 1)
    yield "ten times", f"{n}0"
    yield "a digit more", f"{n}{rng.randint(1, 9)}"
    yield "a decimal more", f"{n}.{rng.randint(1, 9)}"
    yield "nearly", f"{n}.0000001"
    yield "percent of it", f"{n}.5\\%"
    yield "factorial", f"{n}!" if abs(n) > 2 else "7"
    yield "other product", f"{n} \\cdot 2"
    yield "other equation", f"{n + 1} = {n}"
    yield "a sum of names, computed wrongly", f"m+n = {n - 6} + 7 = {n}"
    yield "another sum of names", f"100m+n = {n + 1}"
    yield "other digits of Arabic", str(n + 1).translate({48 + digit: 0x660 + digit for digit in range(10)})
    yield "hexadecimal", f"0x{abs(n)}"
    yield "digits apart", " ".join(text) if abs(n) > 9 else f"{n} {n}"
    if swapped := _swapped(text):
        yield "digits swapped", swapped
    if abs(n) > 9:
        yield "last digit dropped", text[:-1]
        yield "digits in a list", ", ".join(text.strip("-"))
        yield "decimal point", f"{text[:-1]}.{text[-1]}"
    if abs(n) >= 1000:
        yield "separator misplaced", f"{text[:-2]},{text[-2:]}"
        yield "scientific, rounded", f"{text[0:2]} \\times 10^{{{len(text) - 2}}}" if int(text[2:] or 0) else f"{n + 2}"


def _decimal(gold: Gold, rng: Random) -> Forms:
    value: Fraction = gold.parts["value"]
    text = gold.text
    yield "sign", decimal(-value)
    yield "last digit dropped", text[:-1] if not text[:-1].endswith(".") else f"{text}1"
    yield "last digit changed", f"{text[:-1]}{(int(text[-1]) + 1) % 10}"
    yield "point moved", decimal(value / 10)
    yield "point moved up", decimal(value * 10)
    yield "nearly", f"{text}0000001"
    yield "without the point", text.replace(".", "").lstrip("0")
    yield "as a list", text.replace(".", ", ")
    yield "reciprocal", f"\\frac{{{value.denominator}}}{{{value.numerator}}}" if value not in (1, -1) else "7"


def _tiny(gold: Gold, rng: Random) -> Forms:
    d, e = gold.parts["digits"], gold.parts["exponent"]
    yield "other digit", f"{d % 9 + 1} \\times 10^{{-{e}}}"
    yield "nearly", f"{d}.0000001 \\times 10^{{-{e}}}"
    yield "other exponent", f"{d} \\times 10^{{-{e + 1}}}"
    yield "exponent's sign", f"{d} \\times 10^{{{e}}}"
    yield "sign", f"-{d} \\times 10^{{-{e}}}"
    yield "zero", "0"
    yield "zero with decimals", "0." + "0" * e
    yield "written out wrongly", "0." + "0" * e + str(d)


def _fraction(gold: Gold, rng: Random) -> Forms:
    value: Fraction = gold.parts["value"]
    a, b = value.numerator, value.denominator
    yield "sign", f"\\frac{{{-a}}}{{{b}}}"
    yield "numerator", f"\\frac{{{a + 1}}}{{{b}}}"
    yield "denominator", f"\\frac{{{a}}}{{{b + 1}}}"
    yield "turned over", f"\\frac{{{b}}}{{{a}}}" if abs(a) != b else "7"
    yield "numerator alone", str(a)
    yield "whole part", f"1\\frac{{{abs(a)}}}{{{b}}}" if 0 < value < 1 else f"3\\frac{{1}}{{{b * 7}}}"
    yield "product for quotient", f"{a} \\cdot {b}"
    yield "sum for quotient", f"{a} + {b}"
    if not has_decimal(value):
        scaled = int(abs(value) * 1000)
        yield "with another rounding", f"{gold.text} \\approx {float(value) + 0.001:.3f}"
        yield "equal to another rounding", f"{gold.text} = {float(value) + 0.001:.3f}"
        yield "three decimals", ("-" if value < 0 else "") + decimal(Fraction(scaled, 1000) or Fraction(1, 1000))
        yield (
            "seven decimals, wrong",
            next(t for t in (decimal(Fraction(round(value * 10**7) + k, 10**7)) for k in (31, 32)) if t[-8:-7] == "."),
        )
    else:
        yield "nearly", decimal(value) + "000001"


def _surd(gold: Gold, rng: Random) -> Forms:
    a, b = gold.parts["a"], gold.parts["b"]
    yield "sign", f"-{a}\\sqrt{{{b}}}"
    yield "factor dropped", f"\\sqrt{{{b}}}"
    yield "factor changed", f"{a + 1}\\sqrt{{{b}}}"
    yield "root changed", f"{a}\\sqrt{{{b + 1}}}" if int((b + 1) ** 0.5) ** 2 != b + 1 else f"{a}\\sqrt{{{b + 2}}}"
    yield "root dropped", f"{a * b}"
    yield "cube root", f"{a}\\sqrt[3]{{{b}}}"
    yield "added", f"{a} + \\sqrt{{{b}}}"
    yield "swapped", f"{b}\\sqrt{{{a}}}" if a != b else "7"
    yield "squared", f"{a * a * b}"
    yield "three digits", f"{a * b**0.5:.2f}"
    yield "seven digits, wrong", f"{a * b**0.5 + 3e-6:.7f}"


def _pi(gold: Gold, rng: Random) -> Forms:
    a, b = gold.parts["a"], gold.parts["b"]
    yield "pi dropped", f"\\frac{{{a}}}{{{b}}}"
    yield "sign", f"-\\frac{{{a}\\pi}}{{{b}}}"
    yield "denominator", f"\\frac{{{a}\\pi}}{{{b + 1}}}"
    yield "turned over", f"\\frac{{{b}\\pi}}{{{a}}}"
    yield "pi below", f"\\frac{{{a}}}{{{b}\\pi}}"
    yield "pi squared", f"\\frac{{{a}\\pi^2}}{{{b}}}"
    yield "22/7", f"\\frac{{{22 * a}}}{{{7 * b}}}"
    yield "three digits", f"{a * 3.14159265 / b:.2f}"
    yield "degrees", f"{a * 180}/{b}"
    yield "theta for pi", f"\\frac{{{a}\\theta}}{{{b}}}"


def _percent(gold: Gold, rng: Random) -> Forms:
    n = gold.parts["n"]
    yield "one more", f"{n + 1}\\%"
    yield "ten times", f"{n}0\\%"
    yield "sign", f"-{n}\\%"
    yield "tenths", decimal(Fraction(n, 10)) if n % 10 else f"{n}.1"
    yield "thousandths", decimal(Fraction(n, 1000))


def _degrees(gold: Gold, rng: Random) -> Forms:
    n = gold.parts["n"]
    yield "one more", f"{n + 1}^\\circ"
    yield "sign", f"-{n}^\\circ"
    yield "radians", f"{n} \\text{{ radians}}"
    yield "complement", f"{180 - n}^\\circ" if n != 90 else "91^\\circ"


def _money(gold: Gold, rng: Random) -> Forms:
    value: Fraction = gold.parts["value"]
    yield "a cent more", f"\\${float(value + Fraction(1, 100)):.2f}"
    yield "in cents", f"{int(value * 100)}"
    yield "thousands", f"\\${float(value):.2f} \\text{{ thousand}}"
    yield "sign", f"-\\${float(value):.2f}"
    yield "euro", f"€{float(value):.2f}"


def _quantity(gold: Gold, rng: Random) -> Forms:
    n, unit = gold.parts["n"], gold.parts["unit"]
    yield "one more", f"{n + 1}\\text{{ {unit}}}"
    yield "other unit", f"{n}\\text{{ {OTHER_UNIT[unit]}}}"
    yield "squared unit", f"{n}\\text{{ {unit}}}^2"
    yield "thousand", f"{n}\\text{{ thousand {unit}}}"


def _polynomial(gold: Gold, rng: Random) -> Forms:
    p, q, x = gold.parts["p"], gold.parts["q"], gold.parts["variable"]
    yield "constant's sign", f"{x}^2{p + q:+d}{x}{-p * q:+d}"
    yield "linear term's sign", f"{x}^2{-(p + q):+d}{x}{p * q:+d}"
    yield "constant", f"{x}^2{p + q:+d}{x}{p * q + 1:+d}"
    yield "constant dropped", f"{x}^2{p + q:+d}{x}"
    yield "exponent", f"{x}^3{p + q:+d}{x}{p * q:+d}"
    yield "other variable", gold.text.replace(x, "w")
    yield "upper case", gold.text.replace(x, x.upper())
    yield "at a point", str(4 + 2 * (p + q) + p * q)
    yield "factors' signs", f"({x}{-p:+d})({x}{-q:+d})"


def _rational(gold: Gold, rng: Random) -> Forms:
    a, b, c, x = (gold.parts[key] for key in ("a", "b", "c", "variable"))
    yield "brackets lost", f"{a}{x}+{b}/{c}"
    yield "sign", f"\\frac{{{a}{x}-{b}}}{{{c}}}"
    yield "numerator", f"\\frac{{{a}{x}+{b + 1}}}{{{c}}}"
    yield "denominator", f"\\frac{{{a}{x}+{b}}}{{{c + 1}}}"
    yield "other variable", gold.text.replace(x, "w")
    yield "turned over", f"\\frac{{{c}}}{{{a}{x}+{b}}}"


def _tuple(gold: Gold, rng: Random) -> Forms:
    items = list(gold.parts["items"])
    turned = [items[1], items[0], *items[2:]]
    yield "order", f"({', '.join(map(str, turned))})"
    yield "one more", f"({', '.join(map(str, [*items, 1]))})"
    yield "an item", f"({', '.join(map(str, [items[0] + 1, *items[1:]]))})"
    yield "a sign", f"({', '.join(map(str, [*items[:-1], -items[-1] or 5]))})"
    yield "closed", f"[{', '.join(map(str, items))}]"
    yield "half closed", f"[{', '.join(map(str, items))})"
    yield "first alone", str(items[0])
    if len(items) == 2:
        yield "names swapped", f"y = {items[0]}, x = {items[1]}"
        yield "inequality", f"{min(items)} < x < {max(items)}"


def _interval(gold: Gold, rng: Random) -> Forms:
    low, high, opened, closed = (gold.parts[key] for key in ("low", "high", "opened", "closed"))
    other = {"[": "(", "(": "[", "]": ")", ")": "]"}
    yield "left bracket", f"{other[opened]}{low}, {high}{closed}"
    yield "right bracket", f"{opened}{low}, {high}{other[closed]}"
    yield "both brackets", f"{other[opened]}{low}, {high}{other[closed]}"
    yield "left end", f"{opened}{low - 1}, {high}{closed}"
    yield "right end", f"{opened}{low}, {high + 1}{closed}"
    yield "turned round", f"{opened}{high}, {low}{closed}"
    yield "the ends", f"{low}, {high}"
    yield "the set", f"\\{{{low}, {high}\\}}"
    yield "not in it", f"x \\notin {gold.text}"
    left, right = "\\le" if opened == "(" else "<", "<" if closed == ")" else "\\le"
    yield "chain", f"{low} {left} x {right} {high}"


def _ray(gold: Gold, rng: Random) -> Forms:
    bound, closed, right = (gold.parts[key] for key in ("bound", "closed", "right"))
    other = f"{'(' if closed else '['}{bound}, \\infty)" if right else f"(-\\infty, {bound}{')' if closed else ']'}"
    yield "bracket", other
    yield "other way", f"(-\\infty, {bound})" if right else f"({bound}, \\infty)"
    yield "bound", gold.text.replace(str(bound), str(bound + 1), 1)
    sign = ("<" if right else ">") if not closed else ("\\le" if right else "\\ge")
    yield "inequality the other way", f"x {sign} {bound}"
    yield "bound alone", str(bound)
    yield "union", f"{gold.text} \\cup (1000, 1001)" if not right else f"{gold.text} \\cup (-1001, -1000)"


def _items(gold: Gold, rng: Random) -> Forms:
    items = list(gold.parts["items"])
    opening, closing = ("\\{", "\\}") if gold.kind == "set" else ("", "")

    def written(values: list[int]) -> str:
        return opening + ", ".join(map(str, values)) + closing

    yield "one less", written(items[:-1]) if len(items) > 2 else str(items[0])
    yield "one more", written([*items, 99])
    yield "an item", written([*items[:-1], items[-1] + 100])
    yield "a sign", written([*items[:-1], -items[-1] if items[-1] and -items[-1] not in items else 77])
    yield "one of them", str(items[0])
    yield "their sum", str(sum(items)) if sum(items) not in items else "1234"
    yield "an interval", f"[{items[0]}, {items[-1]}]"


def _matrix(gold: Gold, rng: Random) -> Forms:
    rows = [list(row) for row in gold.parts["rows"]]

    def written(cells: list[list[int]], kind: str = "pmatrix") -> str:
        return f"\\begin{{{kind}}} " + " \\\\ ".join(" & ".join(map(str, row)) for row in cells) + f" \\end{{{kind}}}"

    yield "transposed", written([list(column) for column in zip(*rows, strict=True)])
    yield "rows swapped", written(rows[::-1])
    yield "an entry", written([rows[0], [*rows[1][:-1], rows[1][-1] + 1]])
    yield "a sign", written([[-rows[0][0] or 5, *rows[0][1:]], rows[1]])
    yield "first row", written(rows[:1])
    yield "determinant", written(rows, "vmatrix")
    yield "a list", ", ".join(str(cell) for row in rows for cell in row)
    yield "one row", written([[cell for row in rows for cell in row]])


def _equation(gold: Gold, rng: Random) -> Forms:
    m, c = gold.parts["m"], gold.parts["c"]
    yield "slope's sign", f"y = {-m}x {c:+d}"
    yield "constant's sign", f"y = {m}x {-c:+d}"
    yield "slope", f"y = {m + 1}x {c:+d}"
    yield "variables swapped", f"x = {m}y {c:+d}"
    yield "inequality", f"y < {m}x {c:+d}"
    yield "not equal", f"y \\ne {m}x {c:+d}"
    yield "slope alone", str(m)
    yield "nothing for y", f"0 = {m}x {c:+d}"


def _inequality(gold: Gold, rng: Random) -> Forms:
    sign, n = gold.parts["sign"], gold.parts["n"]
    strict = {"<": "\\le", ">": "\\ge", "\\le": "<", "\\ge": ">"}
    way = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
    yield "strictness", f"x {strict[sign]} {n}"
    yield "other way", f"x {way[sign]} {n}"
    yield "bound", f"x {sign} {n + 1}"
    yield "equality", f"x = {n}"
    yield "bound alone", str(n)
    yield "not equal", f"x \\ne {n}"
    yield "other variable", f"y {sign} {n}"
    yield "turned wrongly", f"{n} {sign} x"
    yield "interval", f"({n}, \\infty)" if sign != ">" else f"[{n}, \\infty)"


def _base(gold: Gold, rng: Random) -> Forms:
    digits, base = gold.parts["digits"], gold.parts["base"]
    yield "base dropped", digits
    yield "other base", f"{digits}_{base + 1}"
    yield "a digit", f"{digits}0_{base}"
    yield "value", str(int(digits, base))
    yield "base twice", f"{digits}_{{{base}}}_{{{base}}}"
    yield "a power", f"{digits}^{base}"


def _word(gold: Gold, rng: Random) -> Forms:
    word = gold.parts["word"]
    yield "other word", f"\\text{{{rng.choice([w for w in WORDS if w != word])}}}"
    yield "not", f"\\text{{not {word}}}"
    yield "not in front", f"not {word}"
    yield "or another", f"{word} or something else"
    yield "cut off", word[:-1]
    yield "letters turned round", word[::-1]
    yield "all of them", ", ".join(WORDS)


def _yes_or_no(gold: Gold, rng: Random) -> Forms:
    word = gold.parts["word"]
    other = "No" if word == "Yes" else "Yes"
    yield "the other", other
    yield "not", f"not {word}"
    yield "both", f"{word} and {other}"
    yield "either", f"{word} or {other}"
    yield "perhaps", f"perhaps {word.lower()}"


def _letter(gold: Gold, rng: Random) -> Forms:
    letter = gold.parts["letter"]
    other = "BCDEA"["ABCDE".index(letter)]
    yield "next", f"({other})"
    yield "two", f"({letter}), ({other})"
    yield "either", f"{letter} or {other}"
    yield "not", f"not {letter}"
    yield "all", "ABCDE"
    yield "in a word", f"{letter}{other}"
    yield "another with its option", f"{other}. 12"
    yield "two with their options", f"{letter}. 12 or {other}. 13"


def _power(gold: Gold, rng: Random) -> Forms:
    n, m = gold.parts["n"], gold.parts["m"]
    yield "exponent above", f"\\frac{{2^{{{n + 1}}}+1}}{{3 \\cdot 2^{{{m}}}}}"
    yield "exponent below", f"\\frac{{2^{{{n}}}+1}}{{3 \\cdot 2^{{{m + 1}}}}}"
    yield "sign above", f"\\frac{{2^{{{n}}}-1}}{{3 \\cdot 2^{{{m}}}}}"
    yield "factor below", f"\\frac{{2^{{{n}}}+1}}{{5 \\cdot 2^{{{m}}}}}"
    yield "limit", f"\\frac{{1}}{{3 \\cdot 2^{{{m - n}}}}}"


def _binomial(gold: Gold, rng: Random) -> Forms:
    n = gold.parts["n"]
    yield "other number below", f"\\binom{{{n}}}{{4}}"
    yield "other number above", f"\\binom{{{n + 1}}}{{3}}"
    yield "product not divided", f"{n} \\cdot {n - 1} \\cdot {n - 2}"
    yield "value and one more", str(n * (n - 1) * (n - 2) // 6 + 1)
    yield "other factorials", f"\\frac{{{n}!}}{{{n - 3}!}}"


def _progression(gold: Gold, rng: Random) -> Forms:
    first, second, last = (gold.parts[key] for key in ("first", "second", "last"))
    yield "other second item", f"{first}, {second + 1}, \\ldots, {last}"
    yield "other last item", f"{first}, {second}, \\ldots, {last + 1}"
    yield "dots elsewhere", f"{first}, \\ldots, {second}, {last}"
    yield "without dots", f"{first}, {second}, {last}"
    yield "no second item", f"{first}, \\ldots, {last}"
    yield "no end", f"{first}, {second}, \\ldots"


_WRITERS: dict[str, Callable[[Gold, Random], Forms]] = {
    "integer": _integer, "decimal": _decimal, "tiny": _tiny, "fraction": _fraction, "surd": _surd, "pi": _pi,
    "percent": _percent, "degrees": _degrees, "money": _money, "quantity": _quantity, "polynomial": _polynomial,
    "rational": _rational, "tuple": _tuple, "interval": _interval, "ray": _ray, "set": _items, "list": _items,
    "matrix": _matrix, "equation": _equation, "inequality": _inequality, "base": _base, "word": _word,
    "yes or no": _yes_or_no, "letter": _letter, "power": _power, "binomial": _binomial, "progression": _progression,
}  # fmt: skip
