"""Bombs: texts that are cheap to write and expensive to read or compute. None of them is a right answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

_SIZES = (6, 40, 400)  # every shape is written at each size


def _nested(left: str, core: str, right: str) -> Callable[[int], str]:
    return lambda n: left * n + core + right * n


def _repeated(piece: str, end: str = "") -> Callable[[int], str]:
    return lambda n: piece * n + end


_SHAPES: dict[str, tuple[Callable[[int], str], ...]] = {
    "towers": (
        _nested("9^{", "9", "}"),
        _nested("(", "9", "^{9})"),
        _repeated("9**", "9"),
        _nested("e^{", "10", "}"),
        _nested("\\exp(", "9", ")"),
        _nested("\\cosh(", "9", ")"),
        _nested("2^(", "9", ")"),
        _nested("x^{", "x", "}"),
    ),
    "factorials": (
        lambda n: "9" * min(n, 30) + "!",
        _repeated("!", "x"),
        lambda n: f"({n}{n}!)!",
        lambda n: f"{n * 1000}!",
        lambda n: f"\\binom{{{n}00000}}{{{n}0000}}",
        _nested("\\binom{", "99", "}{9}"),
        lambda n: f"\\Gamma({n}999999)",
        lambda n: f"7^{{{n}!}}",
    ),
    "digits": (
        lambda n: "7" * (n * 50),
        lambda n: "0." + "3" * (n * 50),
        lambda n: f"1e{'9' * n}",
        lambda n: f"10^{{{'9' * n}}}",
        lambda n: f"0.\\overline{{{'142857' * n}}}",
        lambda n: f"\\frac{{{'7' * n * 20}}}{{{'9' * n * 20}}}",
        lambda n: f"{n}99999^{{{n}99999}}",
        lambda n: f"2^{{-{n}00000000}}",
        lambda n: f"\\sqrt[{n}00000]{{7}}",
        lambda n: ",".join(["111"] * n),
    ),
    "nesting": (
        _nested("\\frac{1}{1+", "x", "}"),
        _nested("\\sqrt{2+", "2", "}"),
        _nested("(", "1", ")"),
        _nested("((1+", "1", ")x)"),
        _nested("\\left(", "x", "\\right)"),
        _nested("{", "7", "}"),
        _nested("|", "x", "|"),
        _nested("\\lfloor ", "x", "/2\\rfloor"),
        _nested("\\text{", "a", "}"),
        _nested("\\sin(", "x", ")"),
        _nested("\\log_{", "2", "}"),
        _nested("[", "1", "]"),
        _nested("\\{", "1", "\\}"),
        _nested("f(", "x", ")"),
        _nested("-", "x", ""),
        _nested("\\begin{pmatrix}", "1", "\\end{pmatrix}"),
        _repeated("("),
        _repeated("}"),
        _repeated("\\frac"),
        _repeated("\\sqrt{"),
        _repeated("\\left"),
    ),
    "long": (
        lambda n: "+".join(f"x_{{{i}}}" for i in range(n)),
        lambda n: "*".join(f"(x+{i})" for i in range(n)),
        lambda n: "+".join(f"\\sqrt{{{2 * i + 3}}}" for i in range(n)),
        lambda n: f"(a+b+c+d+f)^{{{n}}}",
        lambda n: f"(\\sqrt{{2}}+\\sqrt{{3}}+\\sqrt{{5}})^{{{n}}}",
        lambda n: "+".join(f"\\sin({i}x)^{{{i}}}" for i in range(1, n)),
        lambda n: "".join(f"\\cos^{{{i}}}(x)" for i in range(1, n)),
        lambda n: "=".join(["x"] * n),
        lambda n: "<".join("abcdefgh"[i % 8] for i in range(n)),
        lambda n: ", ".join(str(i) for i in range(n)),
        lambda n: " \\text{ or } ".join(str(i) for i in range(n)),
        lambda n: " \\cup ".join(f"({i}, {i + 1})" for i in range(n)),
        lambda n: "\\pm".join(["1"] * n),
        lambda n: "1+" * (n * 5) + "1",
        lambda n: "\\frac{1}{" + "+".join(f"\\frac{{1}}{{x+{i}}}" for i in range(n)) + "}",
        lambda n: "x^{" + "+".join(["n"] * n) + "}",
        lambda n: "\\tan(" + "\\arctan(x)+" * n + "1)",
        lambda n: "\\sqrt[3]{" + "\\sqrt{x}+" * n + "1}",
    ),
    "matrices": (
        lambda n: "\\begin{pmatrix}" + "\\\\".join("&".join(["1"] * n) for _ in range(n)) + "\\end{pmatrix}",
        lambda n: "\\begin{pmatrix}" + "&".join(f"x^{{{i}}}" for i in range(n)) + "\\end{pmatrix}",
        lambda n: "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}^{" + "9" * n + "}",
        lambda n: "\\det\\begin{pmatrix}" + "\\\\".join("&".join("abcd"[:4]) for _ in range(n)) + "\\end{pmatrix}",
        lambda n: "\\begin{array}{" + "c" * n + "}" + "&" * n + "\\end{array}",
    ),
    "unbounded": (
        lambda n: f"\\sum_{{k=1}}^{{10^{{{n}}}}} \\frac{{1}}{{k^2}}",
        lambda n: f"\\prod_{{k=1}}^{{{n}000000}} k",
        lambda n: f"\\int_0^{{{n}}} \\sin(x^{{{n}}}) e^{{x^2}} dx",
        lambda n: "\\int " * min(n, 40) + "x" + " dx" * min(n, 40),
        lambda n: f"\\lim_{{x \\to \\infty}} x^{{x^{{{n}}}}}",
        lambda n: f"\\frac{{d^{{{n}}}}}{{dx^{{{n}}}}} e^{{x^2 \\sin x}}",
        lambda n: f"\\sum_{{n=1}}^{{\\infty}} \\frac{{{n}^n}}{{n!}}",
        lambda n: f"\\lfloor 10^{{{n}}} \\pi \\rfloor",
        lambda n: f"\\sin(10^{{{n}}})",
        lambda n: f"\\log_{{10}}(10^{{10^{{{n}}}}})",
        lambda n: f"\\tan(\\frac{{\\pi}}{{2}} + 10^{{-{n}}})",
        lambda n: f"{n}99999999 \\bmod 7^{{{n}9999}}",
        lambda n: f"\\gcd({n}99999!, 7)",
    ),
    "regular expressions": (
        _repeated(" ", "x"),
        _repeated("\n", "x"),
        lambda n: "a" * (n * 100) + "!",
        lambda n: "\\text{" + " " * (n * 100),
        lambda n: "$" * (n * 50),
        lambda n: "\\" * (n * 50),
        lambda n: "answer is " * (n * 20),
        lambda n: "Answer: " * (n * 20),
        lambda n: "\\boxed{" * (n * 20),
        lambda n: "\\boxed" * (n * 20),
        lambda n: "<answer>" * (n * 20),
        lambda n: "<think>" * (n * 20) + "42",
        lambda n: "</think>" * (n * 20),
        lambda n: "1," * (n * 50),
        lambda n: "1 " * (n * 50),
        lambda n: "0" * (n * 50) + ".",
        lambda n: "\\frac1" * (n * 20),
        lambda n: "x'" * (n * 50),
        lambda n: "and " * (n * 20),
        lambda n: "\\text{ and }" * (n * 20),
        lambda n: "(a+)+" * n + "b",
        lambda n: "- " * (n * 50),
        lambda n: "not " * (n * 50),
        lambda n: "^\\circ" * (n * 20),
        lambda n: "\\{" * n + "\\}" * n,
        lambda n: "<=" * (n * 20),
    ),
}
_HUGE = (" ", "x", "7", "(", "\\boxed{41} ", "\\frac{", "the answer is 41. ", "\n", "$", "💥", "1+", "{", "\\", "a b ")


def bombs() -> Iterator[tuple[str, str]]:
    """Yield kind and text of every bomb. The last few have a million characters."""
    for kind, shapes in _SHAPES.items():
        for shape in shapes:
            for size in _SIZES:
                yield kind, shape(size)
    for piece in _HUGE:
        yield "a million characters", (piece * (1_000_000 // len(piece)))[:1_000_000] + "."
