r"""Gold answers that no answer can equal are refused; words, units, intervals and the like go on loading."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import simko.envs
from simko.envs.data.readable import main_answer, no_value
from simko.errors import UserError

MISSING = r"""nan|NaN|$nan$|[nan]|(nan, 4)|\text{nan}|\boxed{nan}|None|null|[None]|N/A|n/a|NA|#N/A|<NA>|NaT|TODO|tbd|unknown
Omitted|see solution|See the solution.|see above|same as above|proof|Proof omitted.|no answer|not given|Error: timeout
None.|NONE|na|\n|\N|{answer}|${answer}"""
INFINITE = "inf|-inf|Infinity"
EMPTY = r"-|--|—|−|[]|()|.|/|\frac{1}{}|\sqrt{}"
ASKS = "4?|x=?|?=4"
CUT = r"x =|x=|4)|(4|\frac{1}{2|y^|a_"
CONTAINER = """["4"]|['6']|["4", "5"]|{"answer": 12}|{'a': 1}|[{"answer": "4"}]|[4]|[[4]]|[ -2.5 ]|(4,)|array([4])|np.float64(4.0)
Decimal('4')|tensor(4)|4 dtype=int64"""
MARKUP = r"<p>4</p>|4\n|<answer>4|[ANSWER] 4|4<br>|4<br/>|x<sup>2</sup>|<b>4</b>|<answer>4</answer>|4&nbsp;|x &lt; 3|![](a.png)|<image>|https://a.b/c"
SENTENCE = r"""So she has 2.|She needs 4 eggs.|Ann has 4 pens left.|It costs 5 dollars|Therefore, x = 4.|Therefore $x = 4$.
x equals 4|She has 4 in all.|They get 4 each.|She is left with 4.
4 because 2+2=4|So she has $\frac{1}{2}$ left.|He sold four|The total is 4|There are 12 ways
Answer: 4|The answer is 4|Solution: 4|about 4|~4|≈4|approximately 3.5|ANSWER 4|final answer 4|4 (see Figure 2)"""
SOLUTION = "#### 2|####2|x #### 4|2 + 2 = 4|2 \\times (3+4) = 14"
ESCAPED = "\x0crac{1}{2}|\x08oxed{4}|2\times 3|\right)|\text{4}"


@pytest.mark.parametrize(
    ("golds", "says"),
    [
        (MISSING, "stands for a missing value"),
        (INFINITE, "float's infinity; write it as \\infty"),
        (EMPTY, "is empty"),
        (ASKS, "asks"),
        (CUT, "is cut off"),
        (CONTAINER, "container of Python or JSON"),
        (MARKUP, "has markup"),
        (SENTENCE, "is a sentence; keep the answer alone"),
        (SOLUTION, "keep the answer alone"),
        (ESCAPED, "single backslashes"),
    ],
)
def test_no_value(golds: str, says: str) -> None:
    reasons = {gold: str(no_value(gold)) for gold in listed(golds)}
    assert {gold: reason for gold, reason in reasons.items() if says not in reason} == {}


VALUES = r"""42|-3.5|1e-07|1/2|\frac{1}{2}|x^2+1|x=3|x = 1, x = 2|$4$|$$5$$|\boxed{5}|\$5|50%|5\%|1,234|1\,000|{4}|"4"|**4**
\text{Evelyn}|even|Monday|\text{(C)}|(C)|B|yes|No|True|false|none|\text{None}|None of the above|two lines|forty-two|Nana|See
[1,2)|]1,2[|]1, 2]|[4, 5]|(-\infty, 3]\cup[5,\infty)|(1, 2)|(f', g')|f'(x)|\{1,2\}|[[1,2],[3,4]]|[x]|\langle 1,2\rangle|<1, 2>
\begin{pmatrix}1&2\\3&4\end{pmatrix}|\left\{\begin{array}{l}1\\2\end{array}\right.|\begin{cases}1&x>0\\0&x\le 0\end{cases}
6:30 PM|4:30 p.m.|\text{1:03 PM}|October 30|Wednesday, May 3|12:00|3 apples|9 \text{ cm}^2|2 hours and 30 minutes
no solution|does not exist|DNE|undefined|cannot be determined|infinitely many|\infty|infinity|∞|\emptyset|∅|null set|the y-axis
all real numbers except 3|n if n is even, 0 otherwise|$f(x)=ax+b$, where $b$ is an arbitrary integer|x < 3|<|=|+|1:4|52_8
\mathfrak{so}(3)|so(3)|NaCl|5 nm|\inf A|LQSX|MR=SRMC|p \land q|H_2O|a<b<c|np.arcsin(10/13)|\approx 8.24 \text{ mph}|6'2"|0
4 apples in total|= 4"""


def test_values() -> None:
    assert {gold: no_value(gold) for gold in listed(VALUES) if no_value(gold)} == {}


def listed(golds: str) -> list[str]:
    return golds.replace("\n", "|").split("|")


def test_main_answer() -> None:
    assert main_answer('{"answer": "4", "accepted": ["four"]}') == "4"
    assert main_answer('{"answer": 4}') == '{"answer": 4}'
    assert main_answer("{4") == "{4"


def write(path: Path, golds: list[str]) -> Path:
    path.write_text("".join(json.dumps({"problem": f"p{i}", "answer": gold}) + "\n" for i, gold in enumerate(golds)))
    return path


def test_a_row_is_refused_with_its_place_or_counted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", ["4", "even", "#### 2", "7", "nan"])
    with pytest.raises(
        UserError, match=r"a\.jsonl:3: field 'answer' is '#### 2', which is a worked solution; keep the answer alone"
    ):
        simko.envs.make("simko/JSONL-v0", split="all", data=path)
    for verifier in ("math", "math_row", "math:boxed"):
        options = {"split": "all", "data": path, "verifier": verifier, "source_options": {"keep_good_rows": True}}
        source = simko.envs.make("simko/JSONL-v0", **options).source
        assert [task.gold for task in source.tasks(None, 0)] == ["4", "even", "7"]
        assert len(source.bad_rows) == 2  # type: ignore[attr-defined]
    assert simko.envs.make("simko/JSONL-v0", split="all", data=path, verifier="exact").source.size == 5


def test_a_row_of_gsm8k_needs_its_hashes_or_a_number(tmp_path: Path) -> None:
    answers = ["1+1=2\n#### 2", "So she has 2.", "4", "1,200", "#### $1,200", "x\n#### N/A", "2 + 2 is four"]
    rows = [{"question": f"q{i}", "answer": answer} for i, answer in enumerate(answers)]
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(
        UserError, match=r"a\.jsonl:2: column 'answer' is 'So she has 2\.': it has no '####' .*end it with '#### '"
    ):
        simko.envs.make("simko/GSM8K-v0", data=path)
    source = simko.envs.make("simko/GSM8K-v0", data=path, source_options={"keep_good_rows": True}).source
    assert [task.gold for task in source.tasks(None, 0)] == ["2", "4", "1200", "$1200"]
    assert "no number stands behind its '####'" in source.bad_rows[1]  # type: ignore[attr-defined]
