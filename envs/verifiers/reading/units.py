r"""Units told apart from values: `12 \text{ cm}`, `\$5`, `90^\circ`, `72 clips`.

If only one of two answers has a unit, their values decide. Two known units that differ (5 cm, 5 m) make different
answers. Words that change the value (`5 thousand`, `5 or 6`) are not units. Neither is a single letter, which may be a
variable.
"""

from __future__ import annotations

import re

from simko.envs.verifiers.reading.angles import has_angles
from simko.envs.verifiers.reading.numbers import parse_number
from simko.envs.verifiers.reading.text import words

_POWER = r"(?:\s*\^\s*\{?\s*-?\s*[1-4]\s*\}?)?"
_TEXT_UNIT = re.compile(rf"\s*\\text\s*\{{([^{{}}]*)\}}({_POWER})\s*$")
_DEGREE = re.compile(r"\s*\^\\circ\s*(?:\\text\s*\{\s*([CF])\s*\}|([CF]))?\s*$")
_WORD_UNIT = re.compile(rf"(?<=[\d}})])\s+([A-Za-z][A-Za-z ./-]{{0,40}}?)({_POWER})\s*$")
_PRODUCT = re.compile(r"\}\s*(?:\\cdot|\\times)$")
_ARC = re.compile(r"(?<=\d)\s*('{1,2})\s*$")
_CURRENCY = re.compile(r"^(-?)\s*(?:\\usd|€|£|¥|₹|Rs\.?|USD|US\\usd)\s*")
_AFTER_CURRENCY = re.compile(r"\s*(?:\\usd|€|£|¥|₹)\s*$")
_CHANGES = words(
    "not no or and but to than more less least most plus minus times over by of out hundred hundreds thousand thousands "
    "million millions billion billions trillion trillions dozen dozens score half third thirds quarter quarters fourth "
    "fourths tenth tenths hundredth hundredths thousandth thousandths squared cubed factorial mod modulo modulus base "
    "lakh lakhs lac lacs crore crores "
    "negative wrong incorrect false above below except approximately about almost nearly remainder if is was are pi root "
    "roots sqrt percentage percent double triple twice divided multiplied power exponent inverse opposite reciprocal "
    "billionths millionths isn't aren't never without too equals greater smaller maybe perhaps between ones tens for when where "
    "while unless until given assuming provided import"
)
_SHORT = words("cm mm km ft in kg mg lb hr min sec mi yd ml dm cc am pm mph kph ms nm lbs hrs mins secs oz")
_SHORT_SCALES = words("k bn mn mln")  # thousand, billion, million; k, m and n may be names elsewhere
_KNOWN = {
    "cm": "cm centimeter centimetre", "mm": "mm millimeter millimetre", "km": "km kilometer kilometre",
    "m": "m meter metre", "ft": "ft feet foot", "in": "in inch inche", "yd": "yd yard", "mi": "mi mile",
    "kg": "kg kilogram kilo", "g": "g gram gm", "mg": "mg milligram", "lb": "lb pound", "oz": "oz ounce",
    "h": "h hr hour", "min": "min minute", "s": "s sec second", "day": "day", "week": "week", "month": "month",
    "year": "year yr", "l": "l liter litre", "ml": "ml milliliter millilitre", "usd": "usd dollar buck",
    "cent": "cent", "eur": "eur euro", "deg": "deg degree", "arcmin": "arcmin arcminute",
    "arcsec": "arcsec arcsecond", "rad": "rad radian", "am": "am", "pm": "pm",
    "percent": "percent", "gbp": "gbp", "jpy": "jpy yen", "inr": "inr rupee", "degc": "degc", "degf": "degf",
}  # fmt: skip
_CANONICAL = {name: unit for unit, names in _KNOWN.items() for name in names.split()}
_WORD = re.compile(r"[A-Za-z']+")
_UNIT_TOKEN = re.compile(r"([a-z']+)(?:\s?\^?\s?\{?\s?(-?[1-4])\s?\}?)?|(/)")
_SIGNS = {"usd": "usd", "€": "eur", "£": "gbp", "¥": "jpy", "₹": "inr", "rs": "inr"}
_HEAT = frozenset(("degc", "degf"))


def split_unit(cleaned: str) -> tuple[str, str]:
    """The value and the unit of a cleaned text; the unit is empty if there is none."""
    core, units = cleaned, []
    if match := _CURRENCY.match(core):
        core = match[1] + core[match.end() :]
        units.append(_currency(match[0]))
    elif match := _AFTER_CURRENCY.search(core):
        core = core[: match.start()]
        units.append(_currency(match[0]))
    for _ in range(4):
        if (match := _DEGREE.search(core)) and not has_angles(core):
            unit = "deg" + (match[1] or match[2] or "").lower()
        elif match := _ARC.search(core):
            unit = "arcsec" if len(match[1]) == 2 else "arcmin"
        elif (match := _TEXT_UNIT.search(core)) and _is_unit(match[1], in_text=True):
            unit = _canonical(match[1], match[2])
        elif (match := _WORD_UNIT.search(core)) and _is_unit(match[1], in_text=False):
            if parse_number(core[: match.start()]) is None:
                break
            unit = _canonical(match[1], match[2])
        else:
            break
        if not core[: match.start()].strip():
            break
        core = _PRODUCT.sub("}", core[: match.start()].rstrip().rstrip(","))
        units.insert(0, unit)
    together = " ".join(u for u in units if u)
    return core.strip(), "usd" if together == "usd usd" else together


def _currency(text: str) -> str:
    return next((name for sign, name in _SIGNS.items() if sign in text.lower()), "")


def same_unit(a: str, b: str) -> bool:
    """Whether two units may be the same: they differ only if both are known."""
    if {a, b} <= _HEAT | {"deg"} and "deg" in (a, b):
        return True
    return not (a and b and sorted(a.split()) != sorted(b.split()) and _is_known(a) and _is_known(b))


def changes_value(words: str) -> bool:
    """Whether any of these words negates, scales or joins values: `not`, `thousand`, `or`."""
    return any(word in _CHANGES for word in _WORD.findall(words.lower()))


def _is_unit(words: str, in_text: bool) -> bool:
    names = _WORD.findall(words.lower())
    if re.fullmatch(r"\s*\([A-H]\)\s*", words):  # the letter of an option
        return False
    if not names or len(names) > 5 or changes_value(words) or names[0] in _SHORT_SCALES:
        return not names and not words.strip(" .")
    if ("/" in words or " " in words.strip()) and all(word in _CANONICAL for word in names):
        return True
    return in_text or any(len(word) > 2 or word in _SHORT for word in names)


def _canonical(words: str, power: str) -> str:
    """The words by their short names, each with its exponent: `m s-2` of `m/s` with the power 2, or of `meters per s` ..."""
    parts: list[tuple[str, int]] = []
    sign, each = 1, 1
    for word, exponent, slash in _UNIT_TOKEN.findall(words.lower()):
        if slash or word == "per":
            sign = -1
            continue
        word = word[:-1] if len(word) > 3 and word.endswith("s") else word
        if word in ("square", "sq"):
            each = 2
        elif word in ("cubic", "cu"):
            each = 3
        else:
            parts.append((_CANONICAL.get(word, word), sign * each * int(exponent or 1)))
            each = 1
    if parts and (digits := "".join(c for c in power if c in "-1234")):
        name, exponent_before = parts[-1]
        parts[-1] = name, exponent_before * int(digits)
    parts = [(name, sum(n for other, n in parts if other == name)) for name in dict(parts)]
    return " ".join(name + (str(exponent) if exponent != 1 else "") for name, exponent in parts)


def _is_known(unit: str) -> bool:
    words = [word.rstrip("-1234") for word in unit.split()]
    return bool(words) and all(word in _KNOWN for word in words)
