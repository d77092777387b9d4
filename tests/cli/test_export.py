"""`simko export`: what it writes loads without simko, and what it cannot do is one line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
import torch
import yaml
from huggingface_hub.errors import LocalTokenNotFoundError
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from simko.agents import LoraPolicy
from simko.agents.loading import find_model
from simko.agents.quiet import quiet
from simko.cli import run as simko
from simko.files import digest
from simko.run.folder import RunFolder
from simko.settings import train_config

IDS = torch.arange(3, 43)[None]
LOAD = """
import sys
sys.modules["bitsandbytes"] = sys.modules["simko"] = sys.modules["peft"] = None  # none of them may be needed
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
tokenizer.apply_chat_template([{"role": "user", "content": "1+1"}], add_generation_prompt=True)
with torch.no_grad():
    logits = model(input_ids=torch.arange(3, 43)[None]).logits
print(logits.double().sum().item(), logits.abs().max().item(), logits[0, -1].argmax().item())
"""


def moved(policy: LoraPolicy, seed: int) -> LoraPolicy:
    """The policy with its adapter where training might put it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, p in policy.trainable_parameters():
            if "lora_B" in name:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.05)
    return policy


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=IDS).logits.float()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    """A run of `tiny` with two checkpoints, and the logits of the newer one's policy."""
    path = tmp_path_factory.mktemp("runs") / "run"
    config = train_config({"out": str(path), "device": "cpu", "quantization": "nf4", "threads": 1})
    policy = LoraPolicy.from_pretrained("tiny", lora_rank=config.lora_rank, device="cpu", dtype="float32")
    run = RunFolder(path, config)
    optimizer = torch.optim.AdamW([p for _, p in policy.trainable_parameters()])
    with run.opened(config, 0):
        run.save_checkpoint(1, moved(policy, 1), optimizer)
        run.save_checkpoint(2, moved(policy, 2), optimizer)
    return path, logits(policy.model)


def ran(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str, str]:
    capsys.readouterr()
    code = simko([str(a) for a in arguments])
    return code, *capsys.readouterr()


def refusal(capsys: pytest.CaptureFixture[str], *arguments: Any) -> str:
    code, out, err = ran(capsys, "export", *arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    return line.removeprefix("simko: error: ")


def test_a_merged_run_loads_in_plain_transformers(
    capsys: pytest.CaptureFixture[str], trained: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    run, expected = trained
    out = tmp_path / "deep" / "merged"
    code, output, _ = ran(capsys, "export", run, "--merged", out, "--dtype", "float32", "--json")
    assert (code, json.loads(output)) == (0, {"step": 2, "merged": str(out)})

    done = subprocess.run([sys.executable, "-c", LOAD, str(out)], capture_output=True, text=True, check=True)
    total, largest, best = done.stdout.split()
    assert float(total) == pytest.approx(float(expected.double().sum()), rel=1e-4, abs=1e-2)
    assert float(largest) == pytest.approx(float(expected.abs().max()), rel=1e-4)
    assert int(best) == int(expected[0, -1].argmax())
    with quiet():
        plain = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    assert torch.allclose(logits(plain), expected, atol=1e-4)

    # what vLLM reads
    config = json.loads((out / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["dtype"] == "float32"
    assert "quantization_config" not in config
    names = {path.name for path in out.iterdir()}
    assert names >= {"config.json", "generation_config.json", "model.safetensors", "tokenizer.json"}
    assert names >= {"tokenizer_config.json", "chat_template.jinja", "README.md"}
    assert not {name for name in names if name.startswith((".", "adapter", "simko"))}
    card = (out / "README.md").read_text(encoding="utf-8")
    assert f"\n# {out.name}\n" in card
    assert f"AutoTokenizer.from_pretrained({out.name!r})" in card
    stop = json.loads((out / "generation_config.json").read_text())["eos_token_id"]
    assert stop == find_policy_eos()
    # and simko itself takes it for a model
    assert ran(capsys, "sample", out, "--env", "simko/Countdown-v0", "-n", "1", "--problems", "1")[0] == 0


def find_policy_eos() -> int:
    (only,) = LoraPolicy.from_pretrained("tiny", device="cpu").eos_ids
    return only


def test_the_dtype_is_the_bases_own(
    capsys: pytest.CaptureFixture[str], trained: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    run, expected = trained
    assert ran(capsys, "export", run, "--merged", tmp_path / "m")[0] == 0
    base = json.loads((Path(find_model("tiny").location) / "config.json").read_text())["dtype"]
    assert json.loads((tmp_path / "m" / "config.json").read_text())["dtype"] == base
    with quiet():
        plain = AutoModelForCausalLM.from_pretrained(tmp_path / "m", dtype=torch.float32).eval()
    assert torch.allclose(logits(plain), expected, atol=0.1 * float(expected.abs().max()))


def test_quantization_none_merges_into_the_published_base(
    capsys: pytest.CaptureFixture[str], trained: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    run, expected = trained
    out = tmp_path / "m"
    assert ran(capsys, "export", run, "--merged", out, "--quantization", "none", "--dtype", "float32")[0] == 0
    adapter = RunFolder.open(run).adapter()
    policy = LoraPolicy.from_pretrained("tiny", "none", adapter=adapter, device="cpu")
    with quiet():
        plain = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    assert torch.allclose(logits(plain), logits(policy.model), atol=1e-4)
    assert not torch.allclose(logits(plain), expected, atol=1e-2)


def test_an_adapter_is_a_plain_peft_folder(
    capsys: pytest.CaptureFixture[str], trained: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    run, _ = trained
    out = tmp_path / "a"
    assert ran(capsys, "export", run, "--adapter", out)[:2] == (0, f"adapter: {out}\n")
    newest = run / "checkpoints" / "step-000002" / "adapter" / "adapter_model.safetensors"
    assert (out / "adapter_model.safetensors").read_bytes() == newest.read_bytes()
    base = find_model("tiny").location
    with quiet():
        plain = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), out).eval()
    policy = LoraPolicy.from_pretrained("tiny", "none", adapter=out, device="cpu")
    assert torch.allclose(logits(plain), logits(policy.model), atol=1e-5)


def test_a_model_with_an_adapter_is_merged_too(
    capsys: pytest.CaptureFixture[str], trained: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    run, expected = trained
    model = shutil.copytree(find_model("tiny").location, tmp_path / "base")
    adapter = shutil.copytree(run / "checkpoints" / "step-000002" / "adapter", tmp_path / "adapter")
    out = tmp_path / "m"
    code, _, _ = ran(capsys, "export", model, "--adapter", adapter, "--merged", out, "--dtype", "float32")
    assert code == 0
    with quiet():
        plain = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32).eval()
    assert torch.allclose(logits(plain), expected, atol=1e-4)


def test_the_best_checkpoint_is_exported_on_request(
    capsys: pytest.CaptureFixture[str], trained: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    run = shutil.copytree(trained[0], tmp_path / "run")
    assert "no best checkpoint yet" in refusal(capsys, run, "--best", "--adapter", tmp_path / "x")
    (run / "checkpoints" / "best").write_text('{"checkpoint": "step-000001"}')
    code, output, _ = ran(capsys, "export", run, "--best", "--adapter", tmp_path / "best", "--json")
    assert (code, json.loads(output)["step"]) == (0, 1)
    stored = run / "checkpoints" / "step-000001" / "adapter" / "adapter_model.safetensors"
    assert (tmp_path / "best" / "adapter_model.safetensors").read_bytes() == stored.read_bytes()
    assert "--best is for run folders" in refusal(capsys, "tiny", "--adapter", stored.parent, "--best", "--merged", "x")


def test_results_on_a_public_data_set_go_along(
    capsys: pytest.CaptureFixture[str], trained: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    run = shutil.copytree(trained[0], tmp_path / "run")
    code, output, err = ran(capsys, "export", run, "--adapter", tmp_path / "before", "--json")
    assert (code, "eval_results" in json.loads(output)) == (0, False)
    assert "simko: no .eval_results: the run has no evaluation of it; measure it with `simko eval`" in err
    assert not (tmp_path / "before" / ".eval_results").exists()

    weights = run / "checkpoints" / "step-000002" / "adapter" / "adapter_model.safetensors"
    result = {
        "env": "simko/GSM8K-v0", "adapter_sha256": digest(weights), "pass_at_k": {"1": 0.25}, "n": 8, "problems": 10,
        "temperature": 0.6, "top_p": 0.95, "max_new_tokens": 512, "verifier": "math", "quantization": "nf4",
    }  # fmt: skip
    (run / "eval").mkdir(exist_ok=True)
    (run / "eval" / "gsm8k-v0.json").write_text(json.dumps(result))
    arguments = ("--adapter", tmp_path / "a", "--merged", tmp_path / "m", "--json")
    code, output, err = ran(capsys, "export", run, *arguments)
    assert (code, json.loads(output)["eval_results"]) == (0, ["gsm8k-v0.yaml"])
    assert ".eval_results" not in err
    for folder in ("a", "m"):
        (entry,) = yaml.safe_load((tmp_path / folder / ".eval_results" / "gsm8k-v0.yaml").read_text())
        assert (entry["dataset"]["id"], entry["value"]) == ("openai/gsm8k", 25.0)


def test_an_exported_model_ends_where_training_did(
    capsys: pytest.CaptureFixture[str], trained: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    """The chat template closes a turn with a token that is not the tokenizer's EOS."""
    model = shutil.copytree(find_model("tiny").location, tmp_path / "base")
    template = "{% for m in messages %}<pad>{{ m['content'] }}{% endfor %}<pad>"
    (model / "chat_template.jinja").write_text(template)
    tokenizer = AutoTokenizer.from_pretrained(model)
    assert tokenizer.pad_token == "<pad>"
    adapter = trained[0] / "checkpoints" / "step-000002" / "adapter"
    assert ran(capsys, "export", model, "--adapter", adapter, "--merged", tmp_path / "m")[0] == 0
    stop = json.loads((tmp_path / "m" / "generation_config.json").read_text())["eos_token_id"]
    assert stop == sorted([tokenizer.eos_token_id, tokenizer.pad_token_id])


def test_what_cannot_be_exported_is_one_line(
    capsys: pytest.CaptureFixture[str], trained: tuple[Path, torch.Tensor], tmp_path: Path
) -> None:
    run, _ = trained
    used = tmp_path / "used"
    used.mkdir()
    (used / "file").touch()
    assert "nothing to do; give --merged" in refusal(capsys, run)
    assert "write f16 and then run" in refusal(capsys, run, "--gguf", "q5_k_m")
    assert "--out is the folder of a GGUF file" in refusal(capsys, run, "--adapter", tmp_path / "x", "--out", "y")
    for flag in ("--merged", "--adapter"):
        assert "exists and is not an empty folder" in refusal(capsys, run, flag, used)
    assert "give two folders" in refusal(capsys, run, "--merged", tmp_path / "x", "--adapter", tmp_path / "x")
    assert "--dtype is 'int3'" in refusal(capsys, run, "--merged", tmp_path / "x", "--dtype", "int3")
    assert "not a run folder; give one, or a model with --adapter" in refusal(
        capsys, "tiny", "--merged", tmp_path / "x"
    )
    assert "holds no adapter" in refusal(capsys, "tiny", "--adapter", used, "--merged", tmp_path / "x")
    empty = shutil.copytree(run, tmp_path / "empty")
    shutil.rmtree(empty / "checkpoints")
    (empty / "checkpoints").mkdir()
    assert "no checkpoint yet" in refusal(capsys, empty, "--merged", tmp_path / "x")
    broken = shutil.copytree(run, tmp_path / "broken")
    for step in (1, 2):
        (broken / "checkpoints" / f"step-{step:06d}" / "adapter" / "adapter_config.json").write_text("{}")
    assert "damaged" in refusal(capsys, broken, "--adapter", tmp_path / "x")
    assert not (tmp_path / "x").exists()
    assert list(tmp_path.glob(".*")) == []


class FakeHub:
    """The part of `huggingface_hub.HfApi` that an upload uses; `error` is what it answers with."""

    error: Exception | None = None

    def __init__(self) -> None:
        type(self).uploaded: dict[str, Any] = {}

    def whoami(self) -> dict[str, str]:
        if self.error:
            raise self.error
        return {"name": "me"}

    def create_repo(self, repo: str, private: bool, exist_ok: bool) -> str:
        assert exist_ok
        self.uploaded["private"] = private
        return f"https://hub/{repo}"

    def upload_folder(self, folder_path: Path, repo_id: str, commit_message: str) -> None:
        self.uploaded |= {"repo": repo_id, "files": {p.name for p in Path(folder_path).iterdir()}}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> type[FakeHub]:
    """The Hub within reach."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "HfApi", FakeHub)
    monkeypatch.setattr(FakeHub, "error", None)
    return FakeHub


def test_push_uploads_the_adapter_or_the_merged_model(
    capsys: pytest.CaptureFixture[str], trained: tuple[Path, torch.Tensor], tmp_path: Path, hub: Any
) -> None:
    run, _ = trained
    code, output, _ = ran(capsys, "export", run, "--push", "me/adapter")
    assert (code, output) == (0, "pushed: https://hub/me/adapter\n")
    assert hub.uploaded["private"] is True
    assert hub.uploaded["files"] == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
        "export.json",
        "simko_base.json",
    }
    assert ran(capsys, "export", run, "--push", "me/model", "--merged", tmp_path / "m", "--public")[0] == 0
    assert hub.uploaded["private"] is False
    assert {"config.json", "model.safetensors", "README.md"} <= hub.uploaded["files"]


def test_push_asks_for_the_licence_and_uploads_the_gguf_file(
    capsys: pytest.CaptureFixture[str], trained: tuple[Path, torch.Tensor], tmp_path: Path, hub: Any
) -> None:
    pytest.importorskip("gguf")
    run, _ = trained
    arguments = ("--gguf", "q8_0", "--out", tmp_path / "g", "--push", "me/file")
    code, output, _ = ran(capsys, "export", run, *arguments)
    assert (code, output) == (0, f"gguf: {tmp_path / 'g' / 'g.gguf'}\npushed: https://hub/me/file\n")
    assert hub.uploaded["files"] == {"g.gguf", "Modelfile", "README.md", "export.json"}
    modelfile = (tmp_path / "g" / "Modelfile").read_text()
    assert modelfile.startswith("# simko/Countdown-v0: sampling as trained.\nFROM ./g.gguf\n")
    assert "\nPARAMETER num_predict 64\n" in modelfile  # the environment's own budget

    from simko.export.artefacts import _of_env

    assert "reason step by step" in _of_env("simko/GSM8K-v0")["instruction"]
    assert _of_env("no/Such-v0") == {}

    from simko.export.hub import licence_at

    client = FakeHub()
    client.model_info = lambda name, timeout: SimpleNamespace(card_data={"license": "apache-2.0"})  # type: ignore[attr-defined]
    assert (licence_at(client, "org/base"), licence_at(client, "tiny"), licence_at(client, "./a/b")) == (
        "apache-2.0",
        None,
        None,
    )
    assert licence_at(FakeHub(), "org/base") is None  # whatever goes wrong


class ConnectError(Exception):
    """Like the HTTP client's error, which has another name in each version."""


class RefusedError(OSError):
    """As `HfHubHTTPError`."""

    def __init__(self, status: int) -> None:
        super().__init__("refused")
        self.response = SimpleNamespace(status_code=status)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectError("no route"), "the Hub is out of reach; go online, or export to a folder"),
        (LocalTokenNotFoundError("no token"), "there is no token of the Hub here; run `hf auth login`"),
        (RefusedError(401), "the Hub does not let you write there; run `hf auth login`"),
        (RefusedError(500), "refused; mend that and try again"),
        (ValueError("Bearer hf_abcDEF123 at hf_abcDEF123\x1b[2J"), "Bearer *** at ***\ufffd[2J; mend that"),
    ],
)
def test_a_hub_that_refuses_is_one_line_before_any_work(
    capsys: pytest.CaptureFixture[str],
    trained: tuple[Path, torch.Tensor],
    tmp_path: Path,
    hub: Any,
    error: Exception,
    message: str,
) -> None:
    hub.error = error
    assert message in refusal(capsys, trained[0], "--push", "me/model", "--merged", tmp_path / "m")
    assert not (tmp_path / "m").exists()


def test_push_offline_is_one_line(capsys: pytest.CaptureFixture[str], trained: tuple[Path, torch.Tensor]) -> None:
    """The real client in a process of its own, where nothing else has imported it."""
    command = [sys.executable, "-m", "simko", "export", str(trained[0]), "--push", "me/model"]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert "HF_HUB_OFFLINE is set; unset it, or export to a folder" in line
    assert "is not a repository name" in refusal(capsys, trained[0], "--push", "me/model/again")
