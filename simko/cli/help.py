"""What `simko --help` prints at 80 columns. Written by `python -m studies.help_text`; a test says that it is so."""

HELP = """\
Usage: simko [OPTIONS] COMMAND [ARGS]...

  Train a language model on verifiable tasks with SimKO: better at its first
  answer, no worse at its best of many.

Options:
  --version   show the version
  --debug     show the traceback of an error
  -h, --help  Show this message and exit.

Commands:
  train       Train a 4-bit LoRA policy on an environment.
  eval        Measure pass@K on held-out problems.
  algorithms  List the training methods with their settings.
  plan        Forecast memory, download and disk of a training run before...
  sample      Print a few answers and their verdicts.
  chat        Talk to a model or a run.
  export      Export a run, or a model with an adapter: merged weights, the...
  doctor      Check that this machine has what training needs.
  env         Environments: list, look at, check, play, write one.
  verify      Verifiers: audit one, explain a verdict, grade a run again.

  Every command takes --help, and --debug for the traceback of an error.
"""
