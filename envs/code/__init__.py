"""Programs of a model, run where they can do no harm; their values come out and are compared outside.

checks (tests taken apart) -> launch (one process in a sandbox: jails, supervise, runner) -> values -> grading

Expected values never enter the sandbox. `runner.py` and `supervise.py` are scripts of other processes; nothing imports them.
"""
