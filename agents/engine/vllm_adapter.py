"""The adapter on a vLLM server: saved as a PEFT folder, loaded by its path, under a name made of its content.

A name never means two adapters, so ranks and runs that share a server need not agree on anything. Base weights never travel.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import weakref
from hashlib import blake2b
from pathlib import Path
from typing import Any

from simko.agents.adapter_config import CONFIG, WEIGHTS
from simko.agents.engine.vllm_http import HaltedError, Reply, Server
from simko.agents.engine.vllm_reply import ENGINE, Card, cards, start_command
from simko.console import one_line
from simko.errors import UserError


class ServedAdapter:
    """Keeps the adapter of a `LoraPolicy` on a server.

    Args:
        policy: the owner of the adapter.
        server: where it is loaded.
        model: the base model as the server calls it, for the command in an error.
        folder: where adapters are written; the server must see it under the same path. None is a new folder of this machine,
            which is removed at the end.
    """

    def __init__(self, policy: Any, server: Server, model: str, folder: str | None = None) -> None:
        self._policy, self._server, self._model = policy, server, model
        self._lock = threading.Lock()
        self._version: object = None
        self._name: list[str] = []  # the one that is loaded; a list, since the clean-up at the end reads it
        if folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="simko-adapter-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        else:
            self._folder = Path(folder).expanduser().absolute()
        weakref.finalize(self, _unload_all, server, self._name)  # before the folder goes: the last one made runs first

    def name(self) -> str | None:
        """The name of the adapter as it is now, which the server has; None if the adapter is off.

        Raises:
            UserError: the folder cannot be written, or the server does not take the adapter.
        """
        version, off = self._policy._weights_version()
        if off:
            return None
        if version != self._version:
            name = self._save()
            self._load(name)
            self._version, old = version, [other for other in self._name if other != name]
            self._name[:] = [name]
            for other in old:
                _unload(self._server, other)
                shutil.rmtree(self._folder / other, ignore_errors=True)
        return self._name[0]

    def again(self, name: str) -> None:
        """Load the adapter anew: another run unloaded it, or the server was started again. Any thread may call this."""
        with self._lock:
            if self._listed(name) is None:  # else another thread was faster
                self._load(self._save())

    def _save(self) -> str:
        """Write the adapter into a folder with its name, unless it is there; return the name."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            scratch = Path(tempfile.mkdtemp(prefix=".", dir=self._folder))
            try:
                self._policy.save(scratch)
                scratch.chmod(0o755)  # the server may run as another user
                content = blake2b(digest_size=12)
                for file in (WEIGHTS, CONFIG):
                    content.update((scratch / file).read_bytes())
                name = f"simko-{content.hexdigest()}"
                if not (self._folder / name).is_dir():
                    try:
                        scratch.rename(self._folder / name)
                    except OSError:  # another rank was faster
                        if not (self._folder / name).is_dir():
                            raise
                return name
            finally:
                shutil.rmtree(scratch, ignore_errors=True)
        except OSError as error:
            raise UserError(
                f"{ENGINE}: the adapter cannot be written to {self._folder} ({error.strerror}); give another "
                "--engine-adapter-folder"
            ) from error

    def _load(self, name: str) -> None:
        path, card = str(self._folder / name), self._listed(name)
        if card is not None and card.root != path and not os.path.isdir(card.root):
            _unload(self._server, name)  # of a run that is gone, and its folder with it
            card = None
        if card is None:
            reply = self._server.post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": path})
            if self._listed(name) is None:
                raise self._refusal(reply, path)

    def _listed(self, name: str) -> Card | None:
        return next((card for card in cards(self._server.get("/v1/models")) if card.id == name), None)

    def _refusal(self, reply: Reply, path: str) -> UserError:
        start = f"start it with: {start_command(self._model, self._policy.model.peft_config['default'].r)}"
        if reply.status == 404 and not (isinstance(reply.content, dict) and "error" in reply.content):
            return UserError(f"{ENGINE}: the server does not load adapters while it runs; {start}")
        if reply.status == 404:
            return UserError(
                f"{ENGINE}: the server finds no adapter in {path} ({reply.said}); give --engine-adapter-folder a folder that "
                "both see under this path"
            )
        return UserError(
            f"{ENGINE}: the server does not take the adapter ({reply.status}: {one_line(reply.said)}); {start}"
        )


def _unload(server: Server, name: str, patient: bool = True) -> None:
    """Unload an adapter. One that is not there is as good."""
    server.post("/v1/unload_lora_adapter", {"lora_name": name}, patient=patient, timeout=0.0 if patient else 5.0)


def _unload_all(server: Server, names: list[str]) -> None:
    """At the end of the process: what remains on the server is a name without a folder."""
    for name in names:
        try:
            server.resume()
            _unload(server, name, patient=False)
        except (UserError, HaltedError):
            return
