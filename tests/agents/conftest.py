"""Small random models with a tokenizer, as folders that `from_pretrained` reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from random_models import character_tokenizer, random_model

from simko.agents.quiet import quiet


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a random model of a family, once for each set of arguments, and returns its folder."""
    folders: dict[str, Path] = {}

    def folder(family: str = "llama", seed: int = 0, **overrides: Any) -> Path:
        key = repr((family, seed, sorted(overrides.items())))
        if key not in folders:
            folders[key] = tmp_path_factory.mktemp(family)
            with quiet():
                random_model(family, seed, **overrides).save_pretrained(folders[key])
                character_tokenizer().save_pretrained(folders[key])
        return folders[key]

    return folder
