"""The page of recipes: what each gives and takes, from the files themselves."""

from __future__ import annotations

import re
import textwrap

from simko.cli.recipes import command_of, measured
from simko.console import markdown
from simko.recipes import names, recipe
from studies.pages.tables import MARKER, cell

_PAGE = """# Recipes
{marker}

A recipe is a complete file of settings that comes with simko. It says what it gives, how long it takes, and how much memory.
[Settings](../reference/settings.md) says what each setting means.

```bash
simko recipes                       # all of them
simko recipes countdown             # the file of one
simko train --recipe countdown --dry-run
```

Without `--dry-run` the last command trains. Flags go over the recipe: `simko train --recipe countdown --steps 100 --seed 1`. The
run folder stores all settings, so a recipe that changes later does not change your run. `--recipe` does not go together with
`--config` or with `--resume`.

## What there is

{table}

**Measured** means that somebody ran the whole recipe on the machine that stands there. The other rows are a **forecast**: nothing
in this repository has run on a GPU yet. The memory is that of `simko plan --recipe NAME`, so you can plan for your own card with
`--memory 12GB`. The hours are arithmetic: `python -m studies.recipe_times` takes what a card reads and computes in a second, and
assumes that answers use half of their budget. A test computes both again and compares them with the files.

## What each gives, and what it needs

{details}

## Start your own from one

Take the file, and change it.

```bash
simko recipes countdown --out mine.yaml
simko train --config mine.yaml --steps 20 --dry-run
```

A file of your own may keep its `about`, or have none. simko reads it and takes no setting from it. Every key is optional:

```yaml
about:
  title: Our support questions, on Qwen2.5-0.5B-Instruct
  gives: not run yet
  measured: false
  needs: questions.csv
env: jsonl:questions.csv
model: Qwen/Qwen2.5-0.5B-Instruct
steps: 200
```

Four steps lead from a recipe to your task:

1. Replace `env`, and see whether the model can solve the task at all: `simko sample MODEL --env ENV`. If no answer is right,
   training has nothing to learn from.
2. `simko plan --config mine.yaml --memory 8GB` says whether it fits your card.
3. Train a few steps, and look at the entropy and at the share of right answers. [Seeing a run](seeing.md) says how.
4. When it learns, train longer, and [compare](compare.md) with another method before you say that one is better.

To add a recipe to simko, put `NAME.yaml` into `recipes/` with a whole `about`. `tests/cli/test_recipes.py` says what is missing.
"""


def pages() -> dict[str, str]:
    """The page, by its path below docs/."""
    header = ["recipe", "what is trained", "time", "memory", "how that is known"]
    every = [recipe(name) for name in names()]
    rows = [[f"`{r.name}`", r.about.title, r.about.time, r.about.memory, measured(r.about)] for r in every]
    details = [
        f"**{r.name}** (`{command_of(r.name)}`). {_sentence(r.about.gives)} It needs {_sentence(_code(r.about.needs))}"
        for r in every
    ]
    table = markdown(header, [[cell(text) for text in row] for row in rows])
    return {"guides/recipes.md": _PAGE.format(marker=MARKER, table=table, details="\n\n".join(map(_wrapped, details)))}


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."


def _code(text: str) -> str:
    """What a person types, as code."""
    return re.sub(r"pip install '[^']+'|--data FOLDER", r"`\g<0>`", text)


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 128, break_long_words=False, break_on_hyphens=False)
