"""Where problems come from: one file for each task, each a `simko.types.TaskSource`.

A source is built as `Source(split="train" | "eval", level=None, data=None)`, is picklable, and gives the same task for the
same id in every process. Train and evaluation problems are disjoint by content (`simko.envs.split`). `answer(task)`, where
a source has it, is a response that grades correct: the contract checker uses it.
"""
