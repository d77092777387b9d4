r"""Right answers: the gold answer in other spellings. Each comes with the name of its spelling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from random import Random

from simko.envs.audit.corpus.golds import Gold, decimal, has_decimal

Forms = Iterator[tuple[str, str]]


def same(gold: Gold, rng: Random) -> Forms:
    """Yield name and text of every spelling of a gold answer, its own first."""
    yield "as it is", gold.text
    yield from set_in_type(gold)
    yield from _WRITERS[gold.kind](gold, rng)


def set_in_type(gold: Gold) -> Forms:
    """Yield the spellings that differ only in type setting. They apply to any gold answer."""
    text = gold.text
    yield "dollars", f"${text}$"
    yield "parentheses of inline maths", f"\\({text}\\)"
    yield "displaystyle", f"\\displaystyle {text}"
    yield "thin spaces", f"\\, {text} \\,"
    yield "full stop", f"{text}."
    if "\\frac" in text:
        for name in ("dfrac", "tfrac", "cfrac"):
            yield name, text.replace("\\frac", f"\\{name}")
        yield "spaces in a fraction", text.replace("{", "{ ").replace("}", " }")
    if text[0] in "([":
        yield "left and right", f"\\left{text[0]}{text[1:-1]}\\right{text[-1]}"
        yield "big", f"\\bigl{text[0]} {text[1:-1]} \\bigr{text[-1]}"
    if ", " in text:
        yield "no space behind commas", text.replace(", ", ",")
        yield "wide commas", text.replace(", ", " ,\\, ")
    if gold.kind in ("integer", "fraction", "surd", "pi", "decimal", "polynomial", "rational"):
        yield "in braces", f"{{{text}}}"
        yield "in parentheses", f"({text})"
    if gold.kind in ("integer", "fraction", "surd", "pi", "decimal", "tuple", "degrees", "percent"):
        name = "(x, y)" if gold.kind == "tuple" and len(gold.parts["items"]) == 2 else "v"
        if gold.kind != "tuple" or len(gold.parts["items"]) == 2:
            yield "named", f"{name} = {text}"


def _grouped(n: int, separator: str) -> str:
    return f"{n:,}".replace(",", separator)


def _integer(gold: Gold, rng: Random) -> Forms:
    n = gold.parts["n"]
    yield "decimal zeros", f"{n}.{'0' * rng.randint(1, 3)}"
    yield "a fraction", f"\\frac{{{3 * n}}}{{3}}"
    yield "a quotient", f"{2 * n}/2"
    yield "a product", f"{n} \\cdot 1"
    k = rng.randint(1, 99)
    yield "a sum", f"{n - k} + {k}"
    yield "an equation", f"{n - k} + {k} = {n}"
    yield "a unit", f"{n} \\text{{ units}}"
    yield "bold", f"\\mathbf{{{n}}}"
    yield "function value", f"f(3) = {n}"
    yield "an angle", f"\\angle ABC = {n}"
    yield "a sum of names", f"m+n = {n}"
    yield "a sum of names, computed", f"m+n = {n - k} + {k} = {n}"
    yield "a sum of multiples", f"100m+n = {n}"
    if n:  # beside 0 they are equations
        yield "a multiple of a name", f"2x = {n}"
        yield "the square of a name", f"x^2 = {n - k} + {k} = {n}"
    yield "digits of Arabic", str(n).translate({48 + digit: 0x660 + digit for digit in range(10)})
    yield "equality sign in front", f"= {n}"
    yield "line break behind", f"{n}\\\\"
    yield "a word on the left", f"\\text{{Total}} = {n}"
    if n > 0:
        yield "plus sign", f"+{n}"
        yield "leading zero", f"0{n}"
    else:
        yield "minus sign of type", f"−{-n}"
        yield "small minus sign", f"﹣{-n}"
        yield "negative in parentheses", f"-({-n})"
    if abs(n) >= 1000:
        for name, separator in (("comma", ","), ("brace comma", "{,}"), ("thin space", "\\,"), ("comma, thin", ",\\!")):
            yield f"thousands, {name}", _grouped(n, separator)
    if n % 10 == 0:
        yield "power of ten", f"{n // 10} \\times 10^1"
    yield "scientific", f"{decimal(Fraction(n, 100))} \\times 10^{{2}}"


def _decimal(gold: Gold, rng: Random) -> Forms:
    value: Fraction = gold.parts["value"]
    yield "trailing zeros", gold.text + "0" * rng.randint(1, 3)
    sign = "-" if value < 0 else ""
    yield "fraction", f"{sign}\\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"
    yield "quotient", f"{value.numerator}/{value.denominator}"
    yield "scientific", f"{decimal(value * 1000)} \\times 10^{{-3}}"
    yield "exponent", f"{decimal(value * 100)}e-2"
    if abs(value) < 1:
        yield "no leading zero", gold.text.replace("0.", ".", 1)
    yield "unfinished fraction", f"{sign}\\frac{{{abs(value.numerator) * 3}}}{{{value.denominator * 3}}}"


def _tiny(gold: Gold, rng: Random) -> Forms:
    d, e = gold.parts["digits"], gold.parts["exponent"]
    yield "cdot", f"{d} \\cdot 10^{{-{e}}}"
    yield "exponent", f"{d}e-{e}"
    yield "point", f"{d}.0 \\times 10^{{-{e}}}"
    yield "shifted", f"{d}0 \\times 10^{{-{e + 1}}}"
    yield "written out", "0." + "0" * (e - 1) + str(d)
    yield "over a power of ten", f"\\frac{{{d}}}{{10^{{{e}}}}}"


def _fraction(gold: Gold, rng: Random) -> Forms:
    value: Fraction = gold.parts["value"]
    sign, a, b = "-" if value < 0 else "", abs(value.numerator), value.denominator
    k = rng.randint(2, 7)
    yield "slash", f"{sign}{a}/{b}"
    yield "slash with spaces", f"{sign}{a} / {b}"
    yield "not reduced", f"{sign}\\frac{{{a * k}}}{{{b * k}}}"
    yield "product", f"{sign}{a} \\cdot \\frac{{1}}{{{b}}}"
    yield "negative above", f"\\frac{{{sign}{a}}}{{{b}}}"
    yield "sum", f"\\frac{{{value.numerator - b}}}{{{b}}} + 1"
    if sign:
        yield "negative below", f"\\frac{{{a}}}{{-{b}}}"
    if a < 10 and b < 10:
        yield "no braces", f"{sign}\\frac {a} {b}"
        yield "short", f"{sign}\\frac{a}{b}"
    if a > b:
        yield "mixed", f"{sign}{a // b}\\frac{{{a % b}}}{{{b}}}"
    if has_decimal(value):
        yield "decimal", decimal(value)
        yield "longer decimal", decimal(value) + "00"
    else:
        yield "with its rounding", f"{gold.text} \\approx {float(value):.3f}"
        yield "equal to its rounding", f"{gold.text} = {float(value):.3f}"
        yield "with its rounding in words", f"{gold.text} \\text{{ (approximately {float(value):.3f})}}"


def _surd(gold: Gold, rng: Random) -> Forms:
    a, b = gold.parts["a"], gold.parts["b"]
    yield "under the root", f"\\sqrt{{{a * a * b}}}"
    yield "turned round", f"\\sqrt{{{b}}} \\cdot {a}"
    yield "times", f"{a} \\times \\sqrt{{{b}}}"
    yield "plain text", f"{a}*sqrt({b})"
    yield "sign of type", f"{a}√{b}"
    yield "power", f"{a} \\cdot {b}^{{1/2}}"
    yield "quotient", f"\\frac{{{a * b}}}{{\\sqrt{{{b}}}}}"
    yield "sum", f"{a - 1}\\sqrt{{{b}}} + \\sqrt{{{b}}}"
    yield "seven digits", f"{a * b**0.5:.7f}"
    yield "with its rounding", f"{gold.text} \\approx {a * b**0.5:.2f}"
    yield "equal to its rounding", f"{gold.text} = {a * b**0.5:.2f}"


def _pi(gold: Gold, rng: Random) -> Forms:
    a, b = gold.parts["a"], gold.parts["b"]
    yield "in front", f"\\frac{{{a}}}{{{b}}}\\pi"
    yield "turned round", f"\\frac{{\\pi {a}}}{{{b}}}"
    yield "slash", f"{a}\\pi/{b}"
    yield "sign of type", f"{a}π/{b}"
    yield "plain text", f"{a}*pi/{b}"
    yield "not reduced", f"\\frac{{{a * 2}\\pi}}{{{b * 2}}}"
    yield "product", f"{a} \\cdot \\frac{{\\pi}}{{{b}}}"


def _percent(gold: Gold, rng: Random) -> Forms:
    n = gold.parts["n"]
    yield "plain", f"{n}%"
    yield "word", f"{n} percent"
    yield "other word", f"{n} percentage"
    yield "text", f"{n}\\text{{ percent}}"
    yield "value", decimal(Fraction(n, 100))
    yield "hundredths", f"\\frac{{{n}}}{{100}}"
    yield "space", f"{n}\\,\\%"
    yield "without", str(n)


def _degrees(gold: Gold, rng: Random) -> Forms:
    n = gold.parts["n"]
    yield "braces", f"{n}^{{\\circ}}"
    yield "sign of type", f"{n}°"
    yield "word", f"{n} degrees"
    yield "text", f"{n}\\text{{ degrees}}"
    yield "degree", f"{n}\\degree"
    yield "without", str(n)
    yield "decimal", f"{n}.0^\\circ"


def _money(gold: Gold, rng: Random) -> Forms:
    value: Fraction = gold.parts["value"]
    text = f"{float(value):.2f}"
    yield "without", text
    yield "word", f"{text} dollars"
    yield "text", f"{text}\\text{{ dollars}}"
    yield "USD", f"{text} USD"
    yield "space", f"\\$ {text}"
    yield "fraction", f"\\frac{{{value.numerator}}}{{{value.denominator}}}"
    if value >= 1000:
        yield "thousands", f"\\${float(value):,.2f}"


def _quantity(gold: Gold, rng: Random) -> Forms:
    n, unit = gold.parts["n"], gold.parts["unit"]
    yield "without", str(n)
    yield "plain", f"{n} {unit}"
    yield "mathrm", f"{n}\\ \\mathrm{{{unit}}}"
    yield "mbox", f"{n}\\mbox{{ {unit}}}"
    yield "thin space", f"{n}\\,\\text{{{unit}}}"
    yield "decimal", f"{n}.0\\text{{ {unit}}}"
    if unit.endswith("s"):
        yield "singular", f"{n}\\text{{ {unit[:-1] if unit != 'inches' else 'inch'}}}"


def _polynomial(gold: Gold, rng: Random) -> Forms:
    p, q, x = gold.parts["p"], gold.parts["q"], gold.parts["variable"]
    yield "factors", f"({x}{p:+d})({x}{q:+d})"
    yield "factors turned round", f"({x}{q:+d})({x}{p:+d})"
    yield "terms turned round", f"{p * q}{p + q:+d}{x}+{x}^2"
    yield "braces", f"{x}^{{2}}{p + q:+d}{x}{p * q:+d}"
    yield "plain text", f"{x}**2{p + q:+d}*{x}{p * q:+d}"
    yield "sign of type", f"{x}²{p + q:+d}{x}{p * q:+d}"
    yield "spaces", gold.text.replace("+", " + ").replace("-", " - ").strip()
    yield "half factored", f"{x}({x}{p + q:+d}){p * q:+d}"
    yield "named", f"f({x}) = {gold.text}"


def _rational(gold: Gold, rng: Random) -> Forms:
    a, b, c, x = (gold.parts[key] for key in ("a", "b", "c", "variable"))
    yield "slash", f"({a}{x}+{b})/{c}"
    yield "turned round", f"\\frac{{{b}+{a}{x}}}{{{c}}}"
    yield "two fractions", f"\\frac{{{a}{x}}}{{{c}}}+\\frac{{{b}}}{{{c}}}"
    yield "coefficient in front", f"\\frac{{1}}{{{c}}}({a}{x}+{b})"
    yield "signs above and below", f"\\frac{{-{a}{x}-{b}}}{{-{c}}}"


def _tuple(gold: Gold, rng: Random) -> Forms:
    items = gold.parts["items"]
    yield "decimals", f"({', '.join(f'{i}.0' for i in items)})"
    yield "angles", f"\\langle {', '.join(map(str, items))} \\rangle"
    fractions = [f"\\frac{{{2 * i}}}{{2}}" for i in items]
    yield "fractions", f"({', '.join(fractions)})"
    if len(items) == 2:
        yield "names", f"x = {items[0]}, y = {items[1]}"
        yield "names in text", f"x = {items[0]} \\text{{ and }} y = {items[1]}"


def _interval(gold: Gold, rng: Random) -> Forms:
    low, high, opened, closed = (gold.parts[key] for key in ("low", "high", "opened", "closed"))
    left, right = "<" if opened == "(" else "\\le", "<" if closed == ")" else "\\le"
    yield "membership", f"x \\in {gold.text}"
    yield "chain", f"{low} {left} x {right} {high}"
    yield "decimals", f"{opened}{low}.0, {high}.0{closed}"


def _ray(gold: Gold, rng: Random) -> Forms:
    bound, closed, right = (gold.parts[key] for key in ("bound", "closed", "right"))
    yield "membership", f"x \\in {gold.text}"
    yield "sign of type", gold.text.replace("\\infty", "∞")
    if right:
        yield "plus", gold.text.replace("\\infty", "+\\infty")
    sign = (">" if right else "<") if not closed else ("\\ge" if right else "\\le")
    yield "inequality", f"x {sign} {bound}"


def _set(gold: Gold, rng: Random) -> Forms:
    items = gold.parts["items"]
    turned = items[::-1]
    yield "turned round", f"\\{{{', '.join(map(str, turned))}\\}}"
    yield "left and right", f"\\left\\{{ {', '.join(map(str, items))} \\right\\}}"
    yield "bare", ", ".join(map(str, turned))
    yield "and", f"{', '.join(map(str, items[:-1]))} \\text{{ and }} {items[-1]}"
    yield "names", ", ".join(f"x = {i}" for i in items)
    yield "membership", f"x \\in \\{{{', '.join(map(str, items))}\\}}"


def _list(gold: Gold, rng: Random) -> Forms:
    items = gold.parts["items"]
    yield "turned round", ", ".join(map(str, items[::-1]))
    yield "set", f"\\{{{', '.join(map(str, items))}\\}}"
    yield "or", f"{', '.join(map(str, items[:-1]))} \\text{{ or }} {items[-1]}"
    yield "and", f"{', '.join(map(str, items[:-1]))} and {items[-1]}"
    yield "name", f"x = {', '.join(map(str, items))}"
    yield "names", " \\text{ or } ".join(f"x = {i}" for i in items)
    yield "decimals", ", ".join(f"{i}.0" for i in items)


def _matrix(gold: Gold, rng: Random) -> Forms:
    rows = gold.parts["rows"]
    body = " \\\\ ".join(" & ".join(map(str, row)) for row in rows)
    tight = "\\\\".join("&".join(map(str, row)) for row in rows)
    yield "bmatrix", f"\\begin{{bmatrix}} {body} \\end{{bmatrix}}"
    yield "tight", f"\\begin{{pmatrix}}{tight}\\end{{pmatrix}}"
    yield "array", f"\\left( \\begin{{array}}{{{'c' * len(rows[0])}}} {body} \\end{{array}} \\right)"
    yield "array in brackets", f"\\left[\\begin{{array}}{{{'r' * len(rows[0])}}}{tight}\\end{{array}}\\right]"
    yield "last row ended", f"\\begin{{pmatrix}}{tight}\\\\\\end{{pmatrix}}"
    yield "named", f"A = \\begin{{pmatrix}} {body} \\end{{pmatrix}}"
    decimals = "\\\\".join("&".join(f"{cell}.0" for cell in row) for row in rows)
    yield "decimals", f"\\begin{{pmatrix}}{decimals}\\end{{pmatrix}}"


def _equation(gold: Gold, rng: Random) -> Forms:
    m, c = gold.parts["m"], gold.parts["c"]
    yield "turned round", f"{m}x{c:+d} = y"
    yield "terms turned round", f"y = {c}{m:+d}x"
    yield "all on one side", f"{m}x - y {c:+d} = 0"
    yield "doubled", f"2y = {2 * m}x {2 * c:+d}"
    yield "right side alone", f"{m}x {c:+d}"
    yield "tight", f"y={m}x{c:+d}"


_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
_PLAIN = {"<": "<", ">": ">", "\\le": "<=", "\\ge": ">="}
_LONG = {"<": "\\lt", ">": "\\gt", "\\le": "\\leq", "\\ge": "\\geq"}


def _inequality(gold: Gold, rng: Random) -> Forms:
    sign, n = gold.parts["sign"], gold.parts["n"]
    yield "turned round", f"{n} {_FLIPPED[sign]} x"
    yield "plain text", f"x {_PLAIN[sign]} {n}"
    yield "long command", f"x {_LONG[sign]} {n}"
    yield "slanted", f"x {_LONG[sign]}slant {n}" if "q" in _LONG[sign] else f"x{sign}{n}"
    yield "moved", f"x {-n:+d} {sign} 0" if n else f"x {sign} 0"
    low = "(-\\infty, " if sign in ("<", "\\le") else ("(" if sign == ">" else "[") + f"{n}, "
    high = f"{n}" + (")" if sign == "<" else "]") if sign in ("<", "\\le") else "\\infty)"
    yield "interval", low + high


def _base(gold: Gold, rng: Random) -> Forms:
    digits, base = gold.parts["digits"], gold.parts["base"]
    yield "braces", f"{digits}_{{{base}}}"
    yield "parentheses", f"({digits})_{{{base}}}"
    name = ("two", "three", "four", "five", "six", "seven", "eight", "nine")[base - 2]
    yield "word", f"{digits}_{{\\text{{{name}}}}}"


def _word(gold: Gold, rng: Random) -> Forms:
    word = gold.parts["word"]
    yield "bare", word
    yield "lower case", word.lower()
    yield "upper case", f"\\text{{{word.upper()}}}"
    yield "bold", f"\\textbf{{{word}}}"
    yield "mathrm", f"\\mathrm{{{word}}}"
    yield "spaces", f"\\text{{ {word} }}"


def _yes_or_no(gold: Gold, rng: Random) -> Forms:
    word = gold.parts["word"]
    yield "text", f"\\text{{{word}}}"
    yield "lower case", word.lower()
    yield "upper case", word.upper()
    yield "bold", f"\\textbf{{{word}}}"


def _letter(gold: Gold, rng: Random) -> Forms:
    letter = gold.parts["letter"]
    yield "bare", letter
    yield "text", f"\\text{{{letter}}}"
    yield "bold", f"\\textbf{{({letter})}}"
    yield "text with parentheses", f"\\text{{({letter})}}"
    yield "with its option", f"{letter}. 12"


def _power(gold: Gold, rng: Random) -> Forms:
    n, m = gold.parts["n"], gold.parts["m"]
    yield "times", f"\\frac{{2^{{{n}}}+1}}{{3 \\times 2^{{{m}}}}}"
    yield "two fractions", f"\\frac{{1}}{{3 \\cdot 2^{{{m - n}}}}} + \\frac{{1}}{{3 \\cdot 2^{{{m}}}}}"
    yield "slash", f"(2^{{{n}}}+1)/(3*2^{{{m}}})"
    yield "doubled above and below", f"\\frac{{2^{{{n + 1}}}+2}}{{6 \\cdot 2^{{{m}}}}}"


def _binomial(gold: Gold, rng: Random) -> Forms:
    n = gold.parts["n"]
    yield "product", f"\\frac{{{n} \\cdot {n - 1} \\cdot {n - 2}}}{{6}}"
    yield "factorials", f"\\frac{{{n}!}}{{3! \\cdot {n - 3}!}}"
    yield "turned over", f"\\binom{{{n}}}{{{n - 3}}}"
    yield "value", str(n * (n - 1) * (n - 2) // 6)
    yield "sum", f"\\binom{{{n - 1}}}{{2}} + \\binom{{{n - 1}}}{{3}}"


def _progression(gold: Gold, rng: Random) -> Forms:
    first, second, last = (gold.parts[key] for key in ("first", "second", "last"))
    for name, dots in (("dots", "\\dots"), ("three points", "..."), ("sign of type", "…"), ("centred", "\\cdots")):
        yield name, f"{first}, {second}, {dots}, {last}"
    yield "set", f"\\{{{first}, {second}, \\dots, {last}\\}}"
    yield "turned round", f"{last}, \\ldots, {second}, {first}"


_WRITERS: dict[str, Callable[[Gold, Random], Forms]] = {
    "integer": _integer, "decimal": _decimal, "tiny": _tiny, "fraction": _fraction, "surd": _surd, "pi": _pi,
    "percent": _percent, "degrees": _degrees, "money": _money, "quantity": _quantity, "polynomial": _polynomial,
    "rational": _rational, "tuple": _tuple, "interval": _interval, "ray": _ray, "set": _set, "list": _list,
    "matrix": _matrix, "equation": _equation, "inequality": _inequality, "base": _base, "word": _word,
    "yes or no": _yes_or_no, "letter": _letter, "power": _power, "binomial": _binomial, "progression": _progression,
}  # fmt: skip
