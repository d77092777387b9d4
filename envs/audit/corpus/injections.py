r"""Injections: texts that try to be executed by Python's eval, sympy's parser, a shell, TeX, a template or pickle.

Each carries a canary: it imports `CANARY_MODULE`, sets the environment variable of that name, or touches the file
`canary`. The audit watches for all three. Even if one of them runs, it does no harm.
"""

from __future__ import annotations

from collections.abc import Iterator

CANARY_MODULE = "simko_canary"

_CALLS = (
    "__import__('os').system('touch {file}')",
    "__import__('{module}')",
    "__import__('os').putenv('{module}', '1')",
    "__import__('subprocess').run(['touch', '{file}'])",
    "__import__('subprocess').check_output('touch {file}', shell=True)",
    "__import__('pathlib').Path('{file}').touch()",
    "__import__('importlib').import_module('{module}')",
    "__import__('builtins').exec('import {module}')",
    "__import__('ctypes').CDLL(None).system(b'touch {file}')",
    "__import__('socket').socket().connect(('127.0.0.1', 9))",
    "__import__('urllib.request').request.urlopen('http://127.0.0.1:9/')",
    "__import__('sympy').sympify(\"__import__('{module}')\")",
    "__import__('pickle').loads(b\"c{module}\\nx\\n.\")",
    "open('{file}', 'w')",
    "open('{file}', mode='a').write('x')",
    "exec('import {module}')",
    "eval('__import__(\"{module}\")')",
    "compile('import {module}', '<string>', 'exec')",
    "(lambda: __import__('{module}'))()",
    "(lambda f: f(f))(lambda f: open('{file}', 'w'))",
    "[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == 'Popen'][0](['touch', '{file}'])",
    "().__class__.__mro__[1].__subclasses__()[104].load_module('{module}')",
    "getattr(__builtins__, 'ex' + 'ec')('import {module}')",
    "getattr(getattr(__builtins__, '__dict__', 0), 'get')('open')('{file}', 'w')",
    "globals()['__builtins__']['__import__']('{module}')",
    "[x for x in [1] if __import__('{module}')]",
    "{{__import__('{module}'): 1}}",
    "f\"{{__import__('{module}')}}\"",
    'f\'{{open("{file}", "w")}}\'',
    "'{{0.__class__.__init__.__globals__}}'.format(0)",
    "(x := __import__('{module}'))",
    "1 if __import__('{module}') else 2",
    "not __import__('{module}')",
    "*[__import__('{module}')]",
    "42\nimport {module}",
    "42; import {module}",
    "42\n__import__('{module}')",
    "42 or __import__('{module}')",
    "42 + len(open('{file}', 'w').name) * 0",
    "Symbol('x').subs(1, __import__('{module}'))",
    "Lambda(x, __import__('{module}'))(1)",
    "parse_expr(\"__import__('{module}')\")",
    "S(\"__import__('{module}')\")",
    "Function('f')(__import__('{module}'))",
    "Integer(__import__('{module}'))",
    "lambdify((), \"__import__('{module}')\")()",
    "preview(x, output='png', filename='{file}')",
    "plot(x, file='{file}')",
    "print(open('{file}', 'w'))",
    "sys.modules['os'].system('touch {file}')",
    "os.system('touch {file}')",
    "np.load('{file}', allow_pickle=True)",
    "numpy.f2py.compile('x')",
    "math.__loader__.load_module('{module}')",
    "breakpoint()",
    "input()",
    "exit()",
    "quit(42)",
    "help()",
    "raise SystemExit(42)",
    "assert __import__('{module}')",
    "@__import__('{module}')",
    "async def f(): import {module}",
    "type('X', (), {{'__init__': lambda s: __import__('{module}')}})()",
    "''.join(map(chr, [95])) + str(__import__('{module}'))",
    "\\\\x5f\\\\x5fimport\\\\x5f\\\\x5f('{module}')",
    "ｅxec('import {module}')",
    "__𝗂𝗆𝗉𝗈𝗋𝗍__('{module}')",
)
_ELSEWHERE = (
    "$(touch {file})",
    "`touch {file}`",
    "; touch {file}",
    "| touch {file}",
    "&& touch {file} #",
    "\\input{{{file}}}",
    "\\include{{{file}}}",
    "\\write18{{touch {file}}}",
    "\\immediate\\write18{{touch {file}}}",
    "\\openout5={file}",
    "\\newwrite\\w\\immediate\\openout\\w={file}",
    "\\catcode`\\@=11 \\@@input {file}",
    "\\def\\x{{\\x\\x}}\\x",
    "\\let\\boxed\\input \\boxed{{{file}}}",
    "\\csname input\\endcsname {file}",
    "\\directlua{{os.execute('touch {file}')}}",
    "\\href{{file://{file}}}{{42}}",
    "{{{{ ''.__class__.__mro__[1].__subclasses__() }}}}",
    "{{% import os %}}{{{{ os.system('touch {file}') }}}}",
    "${{jndi:ldap://127.0.0.1:9/a}}",
    "#{{`touch {file}`}}",
    "<script>fetch('http://127.0.0.1:9')</script>",
    '<!DOCTYPE x [<!ENTITY y SYSTEM "file://{file}">]><x>&y;</x>',
    "!!python/object/apply:os.system ['touch {file}']",
    '{{"__reduce__": ["os.system", "touch {file}"]}}',
    "cos\nsystem\n(S'touch {file}'\ntR.",
    "%s%s%s%n%n%n",
    "{{0.__init__.__globals__[os]}}",
    "../../../../../../etc/passwd",
    "file://{file}",
    "'; DROP TABLE answers; --",
    "' OR 1=1 --",
)
_CHARACTERS = (
    "\x00",
    "42\x00",
    "4\x002",
    "\ud800",
    "42\udfff",
    "\u202e24",
    "\u200f42\u200e",
    "\u2066\u202e24\u202c\u2069",
    "\ufeff",
    "4\u200b2x",
    "4\u034f2?",
    "\U000e0034\U000e0032",
    "42\u0338",
    "\x1b[2J42\x1b[0m?",
    "\x07\x08\x7f",
    "٤٣",
    "४३",
    "⁴²",
    "④②",
    "４２x",
    "Ⅻ",
    "\u0661\u0660",
    "￾￿",
    "﷽" * 40,
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳",
)
_PLACES = (
    "{}",
    "x = {}",
    "\\text{{{}}}",
    "\\frac{{1}}{{{}}}",
    "\\sin({})",
    "42 + {}",
    "({}, 1)",
    "{}^2",
    "\\sqrt{{{}}}",
)


def injections(file: str) -> Iterator[tuple[str, str]]:
    """Yield kind and text of every injection. `file` is the canary's path."""
    filled = {"file": file, "module": CANARY_MODULE}
    for kind, payloads in (("python", _CALLS), ("shell, TeX, template", _ELSEWHERE)):
        for number, payload in enumerate(payloads):
            text = payload.format(**filled)
            yield kind, text
            yield f"{kind}, inside maths", _PLACES[1 + number % (len(_PLACES) - 1)].format(text)
    for text in _CHARACTERS:
        yield "characters", text
        yield "characters", f"42{text}43"
