"""A turn that is spoken as text: by a person who plays an environment, or by another program's tool call."""

from __future__ import annotations

from simko.envs.episode import Episode
from simko.envs.token_env import TokenEnv
from simko.envs.verifiers.answer.visible import closing_of


def take_turn(env: TokenEnv, episode: Episode, answer: str) -> str:
    """Give the environment one turn of text, as tokens; returns its reply, which may be empty."""
    before = len(episode.ids)
    spoken = closing_of(episode.thought) + answer if episode.thought else answer  # a person does not think aloud
    ids = env.tokenizer.encode(spoken, add_special_tokens=False)
    end = [min(env.stop_ids)] if env.stop_ids else env.tokenizer.encode(env.stop[0], add_special_tokens=False)
    for token in [*ids, *end]:
        if episode.push(token):
            break
    reply = [i for i, ours in zip(episode.ids[before:], episode.sampled[before:], strict=True) if not ours]
    return env.tokenizer.decode(reply, skip_special_tokens=True)
