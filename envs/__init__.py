"""Environments: verifiable tasks as token-level Gymnasium environments. Importing this package registers ours."""

from __future__ import annotations

from simko.envs.author import task, verifier
from simko.envs.episode import Episode
from simko.envs.prompts import PromptFormat
from simko.envs.registry import EnvInfo, make, register_all, specs
from simko.envs.token_env import TokenEnv
from simko.envs.tokenizers import ByteTokenizer, load_tokenizer
from simko.envs.turns import tool_reply
from simko.envs.vector_env import TokenVectorEnv
from simko.envs.verifiers import get_verifier, grade, register_verifier, verifier_names

__all__ = [
    "ByteTokenizer",
    "EnvInfo",
    "Episode",
    "PromptFormat",
    "TokenEnv",
    "TokenVectorEnv",
    "get_verifier",
    "grade",
    "load_tokenizer",
    "make",
    "register_all",
    "register_verifier",
    "specs",
    "task",
    "tool_reply",
    "verifier",
    "verifier_names",
]

register_all()
