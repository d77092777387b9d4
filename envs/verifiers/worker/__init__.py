"""sympy and math-verify in a process of their own, where they can do no harm."""
