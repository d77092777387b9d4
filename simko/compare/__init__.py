"""A comparison of methods, from its plan to its results: many runs of `simko train` and `simko eval`, in one folder.

study -> plan (which arms, seeds and sizes) -> cells (one run or one evaluation each) -> runner -> results
"""
