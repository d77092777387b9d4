"""`simko export --check`: what was written right agrees with the policy, and what was not makes the command fail."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import AutoPeftModelForCausalLM
from safetensors.torch import load_file, save_file
from test_gguf_file import adapted, byte_tokenizer, family
from transformers import AutoModelForCausalLM, AutoTokenizer

from simko.agents import LoraPolicy
from simko.agents.gguf import dequantised_model
from simko.agents.gguf_file import write_gguf
from simko.agents.loading import find_model
from simko.agents.quiet import quiet
from simko.cli import run as simko
from simko.export import artefacts

gguf = pytest.importorskip("gguf")
QUICK = ("--check", "--check-problems", "3", "--check-samples", "2", "--max-new-tokens", "12", "--threads", "1")


def ran(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    capsys.readouterr()
    code = simko([str(a) for a in arguments])
    return code, *capsys.readouterr()


@pytest.fixture(scope="module")
def exported(trained_run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], str]:
    """All three kinds in one command, with what it printed."""
    folder = tmp_path_factory.mktemp("exported")
    arguments = [
        "--merged",
        folder / "m",
        "--adapter",
        folder / "a",
        "--gguf",
        "Q8_0",
        "--out",
        folder / "g",
        "--dtype",
        "bfloat16",
    ]
    out = io.StringIO()
    with contextlib.redirect_stdout(out), pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "llama_cpp", None)  # it would give the prompts of tiny other tokens
        code = simko(["export", str(trained_run), *map(str, arguments), *QUICK])
    assert code == 0, out.getvalue()
    facts = {name: json.loads((folder / name / "export.json").read_text()) for name in ("m", "a", "g")}
    return folder, facts, out.getvalue()


def test_all_kinds_agree_with_the_policy(exported: tuple[Path, dict[str, Any], str]) -> None:
    folder, facts, output = exported
    assert output.count("  agrees\n") == 3
    assert output.endswith(f"adapter: {folder / 'a'}\nmerged: {folder / 'm'}\ngguf: {folder / 'g' / 'g.gguf'}\n")
    assert "check q8_0: 3 held-out problems x 2 samples, temperature 1, the same random streams" in output
    for check in (facts[name]["check"] for name in facts):
        assert check["agrees"]
        assert 0 < check["mean_gap"] < check["limit"]
        assert check["tokens"] > 20
        low, high = check["difference"][1:]
        assert low <= 0 <= high
    assert facts["m"]["check"]["mean_gap"] < 0.03 < facts["a"]["check"]["mean_gap"]  # the published base is another


def test_what_was_lost_is_said(exported: tuple[Path, dict[str, Any], str]) -> None:
    _, facts, _ = exported
    merged, file = facts["m"], facts["g"]
    assert merged["dtype"] == "bfloat16"
    assert 0.5 < merged["kept"]["cosine"] < 1
    assert merged["lost"].startswith("Merged in bfloat16: ")
    assert file["gguf"] == "q8_0"
    assert 0.003 < file["rounding"] < 0.007
    assert 0 < file["adapter_change"] < 0.1
    assert file["split_known"] is False  # tiny's own split of texts


def test_plain_programs_load_what_was_written(exported: tuple[Path, dict[str, Any], str], trained_run: Path) -> None:
    """Its logits are those of the policy: of the NF4 base where that was merged, of the published one for the adapter."""
    folder, _, _ = exported
    adapter = trained_run / "checkpoints" / "step-000007" / "adapter"
    ids = torch.tensor(
        [LoraPolicy.from_pretrained("tiny", "none", device="cpu").tokenizer.encode("Using 3, 4: 7 = 3 + 4")]
    )
    with quiet(), torch.no_grad():
        policies = [LoraPolicy.from_pretrained("tiny", kind, adapter=adapter, device="cpu") for kind in ("nf4", "none")]
        trained, published = (torch.log_softmax(p.model(input_ids=ids).logits, -1) for p in policies)
        merged = AutoModelForCausalLM.from_pretrained(folder / "m", dtype=torch.float32).eval()
        file = dequantised_model(folder / "g" / "g.gguf", torch.float32).eval()
        plain = shutil.copytree(folder / "a", folder / "plain")
        config = json.loads((plain / "adapter_config.json").read_text())
        config["base_model_name_or_path"] = find_model("tiny").location  # where it is on this machine
        (plain / "adapter_config.json").write_text(json.dumps(config))
        adapted = AutoPeftModelForCausalLM.from_pretrained(plain, dtype=torch.float32).eval()
        tokenizer = AutoTokenizer.from_pretrained(folder / "m")
    top = trained.argmax(-1, keepdim=True)
    for model, expected, most in ((merged, trained, 0.05), (file, trained, 0.05), (adapted, published, 1e-3)):
        with torch.no_grad():
            logp = torch.log_softmax(model(input_ids=ids).logits, -1)
        assert (logp - expected).gather(-1, top).abs().mean() < most
    assert tokenizer.encode("Using 3, 4") == policies[0].tokenizer.encode("Using 3, 4")


def test_a_spoilt_export_fails(
    capsys: pytest.CaptureFixture[str], trained_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a wrong order of rows would: the gap of log-probs tells, though a weak policy's solve rate may not."""
    finish = artefacts.Exporter._finish

    def spoil(self: Any, scratch: Path, folder: Path, kind: str, facts: Any) -> None:
        finish(self, scratch, folder, kind, facts)
        weights = load_file(scratch / "model.safetensors")
        name = "model.layers.1.self_attn.k_proj.weight"
        weights[name] = weights[name].flip(0).contiguous()
        save_file(weights, scratch / "model.safetensors", metadata={"format": "pt"})

    monkeypatch.setattr(artefacts.Exporter, "_finish", spoil)
    code, output, err = ran(capsys, "export", trained_run, "--merged", tmp_path / "m", *QUICK)
    assert code == 1
    assert "  PARTS from the policy\n" in output
    assert "what was exported does not answer as the policy does" in err
    assert json.loads((tmp_path / "m" / "export.json").read_text())["check"]["agrees"] is False


def test_the_limit_is_a_flag(capsys: pytest.CaptureFixture[str], trained_run: Path, tmp_path: Path) -> None:
    arguments = ("--adapter", tmp_path / "a", *QUICK, "--check-gap", "0.0001", "--json")
    code, output, _ = ran(capsys, "export", trained_run, *arguments)
    done = json.loads(output)
    assert code == 1
    assert done["check"]["adapter"]["limit"] == 0.0001
    assert done["check"]["adapter"]["agrees"] is False


@pytest.mark.parametrize("name", ["llama-tied", "qwen2", "qwen3", "gemma2", "gemma3"])
def test_llama_cpp_gives_the_same_log_probs(tmp_path: Path, name: str) -> None:
    """Where llama-cpp-python is installed: the rows of q and k, the numbers and the tokenizer are as it reads them."""
    llama_cpp = pytest.importorskip("llama_cpp")
    model, tokenizer = adapted(family(name)), byte_tokenizer()
    write_gguf(model, tokenizer, tmp_path / "m.gguf", "f16", "m", [1, 2])
    llama = llama_cpp.Llama(str(tmp_path / "m.gguf"), n_ctx=128, logits_all=True, verbose=False)
    for text in ("the other 12 trees\n\n  it's 3.14 é<end>", "a  b\tc"):
        assert llama.tokenize(text.encode(), add_bos=False, special=True) == tokenizer.encode(text)
    ids = tokenizer.encode("the other 12 trees, it's 3.14")
    llama.eval(ids)
    with torch.no_grad():
        expected = torch.log_softmax(model(input_ids=torch.tensor([ids])).logits[0], -1)
    logp = torch.log_softmax(torch.from_numpy(llama.scores[: len(ids)].copy()).float(), -1)
    assert (logp - expected).gather(-1, expected.argmax(-1, keepdim=True)).abs().mean() < 0.02
