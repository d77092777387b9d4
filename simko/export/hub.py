"""The Hub: asked before any work, and given a folder at the end. A token is never printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from simko.console import clean, note, one_line
from simko.errors import UserError

_LATER = "export to a folder and upload that later with `hf upload`"
_TOKEN = re.compile(r"\bhf_\w+|(?<=Bearer )\S+")


def client_for(repo: str) -> Any:
    """The Hub's client, after it has answered once: a refusal should come before an hour of merging.

    Raises:
        UserError: the name is none of a repository, the Hub is out of reach, or there is no token that it knows.
    """
    import huggingface_hub
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(f"export: --push {repo} is not a repository name ({_line(error)}); use org/name") from error
    if constants.HF_HUB_OFFLINE:
        raise UserError(f"export: --push {repo}: HF_HUB_OFFLINE is set; unset it, or {_LATER}")
    client = huggingface_hub.HfApi()
    try:
        client.whoami()
    except Exception as error:  # whatever the HTTP client raises
        raise _refusal(repo, error) from error
    return client


def upload(client: Any, repo: str, folder: Path, private: bool) -> str:
    """Upload a folder to a repository, which is made if it is not there; returns its address. Raises `UserError`."""
    note(f"uploading {folder} to {repo}")
    try:
        address = client.create_repo(repo, private=private, exist_ok=True)
        client.upload_folder(folder_path=folder, repo_id=repo, commit_message="Upload from simko")
    except Exception as error:  # as above
        raise _refusal(repo, error) from error
    return str(address)


def licence_at(client: Any, model: str) -> str | None:
    """The licence that the Hub has of a model; None where it has none, or the name is not one of the Hub."""
    if model.count("/") != 1 or Path(model).exists() or model[0] in "./~":
        return None
    try:
        card = client.model_info(model, timeout=10).card_data
        licence = None if card is None else card.get("license")
    except Exception:  # a card without a licence is better than no export
        return None
    return one_line(licence)[:60] if isinstance(licence, str) else None


def _refusal(repo: str, error: Exception) -> UserError:
    """One line for what went wrong at the Hub, or on the way to it."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    name = type(error).__name__
    if "Token" in name:
        why, mend = "there is no token of the Hub here", "run `hf auth login`"
    elif status in (401, 403):
        why, mend = "the Hub does not let you write there", "run `hf auth login` with a token that may write"
    elif (status is None and isinstance(error, OSError)) or "Connect" in name or "Timeout" in name:
        why, mend = "the Hub is out of reach", f"go online, or {_LATER}"
    else:
        why, mend = _line(error), "mend that and try again"
    return UserError(f"export: --push {repo}: {why}; {mend}")


def _line(error: BaseException) -> str:
    return " ".join(_TOKEN.sub("***", clean(str(error))).split())[:200] or type(error).__name__
