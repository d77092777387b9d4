"""An adapter is loaded only on the weights that it was trained on, not on others of the same shape."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file
from test_quantize import load
from transformers import AutoModelForCausalLM

from simko.agents import LoraPolicy, fingerprint
from simko.agents.quiet import quiet
from simko.errors import UserError

Folder = Callable[..., Path]


@pytest.fixture
def adapter(model_folder: Folder, tmp_path: Path) -> Path:
    load(model_folder()).save(tmp_path / "adapter")
    return tmp_path / "adapter"


def test_another_base_of_the_same_shape_is_refused(model_folder: Folder, adapter: Path) -> None:
    other = model_folder(seed=1)
    with pytest.raises(UserError, match=r"was not trained on the weights of .* but on .*; give the model") as caught:
        LoraPolicy.from_pretrained(other, adapter=adapter, device="cpu")
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="was not trained on the weights"):
        LoraPolicy.from_pretrained(other, lora_rank=4, device="cpu").load_adapter(adapter)
    (adapter / fingerprint.BASE_FILE).unlink()  # the mend that the line names
    LoraPolicy.from_pretrained(other, adapter=adapter, device="cpu")


def test_a_model_that_moved_or_is_quantised_otherwise_is_the_same(
    model_folder: Folder, adapter: Path, tmp_path: Path
) -> None:
    moved = shutil.copytree(model_folder(), tmp_path / "moved")
    LoraPolicy.from_pretrained(moved, "none", adapter=adapter, device="cpu", dtype="bfloat16")
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": "org/its-name"}))
    LoraPolicy.from_pretrained(moved, adapter=adapter, device="cpu")


def test_one_number_makes_another_model_and_sharding_does_not(model_folder: Folder, tmp_path: Path) -> None:
    whole = fingerprint.of_model(str(model_folder()))
    assert whole == fingerprint.of_model(str(model_folder()))
    with quiet():
        model = AutoModelForCausalLM.from_pretrained(model_folder())
        model.save_pretrained(tmp_path / "parts", max_shard_size="100KB")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    assert fingerprint.of_model(str(tmp_path / "parts")) == whole

    changed = shutil.copytree(model_folder(), tmp_path / "changed")
    fingerprints = {whole}
    for place in (0, 55, 109):  # the head, the middle and the tail of a tensor larger than all samples of it
        tensors = load_file(model_folder() / "model.safetensors")
        tensors["lm_head.weight"][place] += 1
        save_file(tensors, changed / "model.safetensors", metadata={"format": "pt"})
        fingerprints.add(fingerprint.of_model(str(changed)))
    assert len(fingerprints - {None}) == 4


def test_a_folder_without_safetensors_has_none(tmp_path: Path) -> None:
    assert fingerprint.of_model(str(tmp_path)) is None
    assert fingerprint.of_model("some-org/not-cached") is None
    fingerprint.record(tmp_path, "x", None)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_record_is_named(model_folder: Folder, adapter: Path) -> None:
    (adapter / fingerprint.BASE_FILE).write_text("{")
    with pytest.raises(UserError, match=r"simko_base\.json: cannot be read"):
        LoraPolicy.from_pretrained(model_folder(), adapter=adapter, device="cpu")


def test_continuing_keeps_the_record(model_folder: Folder, adapter: Path, tmp_path: Path) -> None:
    LoraPolicy.from_pretrained(model_folder(), adapter=adapter, device="cpu").save(tmp_path / "next")
    name = fingerprint.BASE_FILE
    assert (tmp_path / "next" / name).read_bytes() == (adapter / name).read_bytes()
    assert json.loads((adapter / name).read_text())["base_model"] == str(model_folder())
