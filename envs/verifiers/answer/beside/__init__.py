r"""What stands beside a stated value and makes another one of it: signs, factors, functions, powers, indices, words that scale.

`-\boxed{42}` says -42, `$\boxed{42}\pi$` says 42 pi, and `\boxed{42} million` says 42 million: where only a sign stands left
and only factors right, the value is read with them. Anything else that binds (`3 - \boxed{42}`, `\frac{\boxed{42}}{2}`,
`\boxed{42}$ or $43$`) leaves no value. Spacing (blanks, `\,`, `{}`, `\left`), dollar signs and brackets between the two
change nothing. In a formula all binds that is not known to be harmless; in prose, only what is known to bind: the dash of
`Answer - \boxed{42}`, the mark of a list and the end of a sentence do not.
"""
