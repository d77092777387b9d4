"""Problems that are read from files or from the Hugging Face Hub.

`rows` is the base of all sources and `loading` finds the rows. `jsonl` reads a user's own file. The maths benchmarks are
`benchmarks`, with `benchmark_table`, `golds` and `overlaps`. `bbh` and `synlogic` are puzzles.
"""
