"""The pages that teach each command, as links of docs/reference/cli.md."""

from __future__ import annotations

_ENVIRONMENT = ("An environment of your own", "../tutorials/environment.md")
_VERIFIER = (("A verifier of your own", "../tutorials/verifier.md"), ("Verifiers", "../how/verifiers.md"))
SEE_ALSO: dict[str, tuple[tuple[str, str], ...]] = {
    "train": (
        ("Start", "../start.md"),
        ("Recipes", "../guides/recipes.md"),
        ("Training methods", "../methods/README.md"),
        ("Settings", "settings.md"),
        ("The run folder", "run_folder.md"),
        ("More than one card", "../how/cards.md"),
    ),
    "eval": (("Statistics", "../how/statistics.md"), ("Settings", "settings.md#evaluation")),
    "recipes": (("Recipes", "../guides/recipes.md"),),
    "plan": (("Memory", "../how/memory.md"),),
    "algorithms": (("Training methods", "../methods/README.md"), ("A method of your own", "../tutorials/method.md")),
    "watch": (("Seeing a run", "../guides/seeing.md"), ("Glossary", "metrics.md")),
    "inspect": (("Seeing a run", "../guides/seeing.md"),),
    "report": (("The report", "../guides/report.md"),),
    "sample": (("Engines", "../how/engine.md"),),
    "chat": (("Models", "models.md"),),
    "compare": (("Compare methods", "../tutorials/compare.md"), ("Comparing methods", "../guides/compare.md")),
    "sweep": (("Comparing methods", "../guides/compare.md"),),
    "results": (("Results", "results.md"), ("Formats", "formats.md")),
    "env": (_ENVIRONMENT, ("Benchmarks", "benchmarks.md")),
    "env list": (("Benchmarks", "benchmarks.md"),),
    "env show": (_ENVIRONMENT,),
    "env look": (("Your task from a CSV", "../tutorials/csv.md"), ("Benchmarks", "benchmarks.md")),
    "env check": (_ENVIRONMENT,),
    "env audit": (("Benchmarks", "benchmarks.md"), ("Other people's worlds", "../guides/worlds.md")),
    "env play": (_ENVIRONMENT, ("Several turns, tools, another try", "../tutorials/tools.md")),
    "env new": (_ENVIRONMENT,),
    "verify": _VERIFIER,
    "verify audit": _VERIFIER,
    "verify explain": _VERIFIER,
    "verify rescore": _VERIFIER,
    "export": (("Into Ollama", "../tutorials/ollama.md"), ("Export", "../guides/export.md")),
    "doctor": (("Start", "../start.md"), ("More than one card", "../how/cards.md")),
}
"""The pages that teach a command. Each command needs an entry."""
