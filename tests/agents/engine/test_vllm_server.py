"""A vLLM server as an engine, against a stand-in that decodes with the adapter folder that it is given."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from vllm_stand_in import Handler, StandIn, serving

from simko.agents import LoraPolicy
from simko.agents.engine.vllm_server import VllmServerEngine
from simko.errors import UserError
from simko.types import Generation, Sampling

PROMPTS = [[5, 6, 7], [9, 8]]
SAMPLING = Sampling(max_new_tokens=8, stop=("e",))
WAITS = (0.0, 0.01, 0.01)

Folder = Callable[..., Path]


def move(policy: LoraPolicy, seed: int = 0) -> None:
    with torch.no_grad():
        for i, (_, p) in enumerate(policy.trainable_parameters()):
            p.add_(torch.randn(p.shape, generator=torch.Generator().manual_seed(100 * seed + i)), alpha=0.1)


@pytest.fixture
def policy(model_folder: Folder) -> LoraPolicy:
    policy = LoraPolicy.from_pretrained(model_folder(), "none", lora_rank=4, device="cpu")
    move(policy)
    return policy


@pytest.fixture
def server(model_folder: Folder) -> Iterator[StandIn]:
    with serving(StandIn(model_folder())) as state:
        yield state


def engine_of(policy: LoraPolicy, server: StandIn, **options: Any) -> VllmServerEngine:
    return VllmServerEngine(policy, server.url, policy.name, **{"waits": WAITS, "timeout": 30.0} | options)


def flat(groups: list[list[Generation]]) -> list[Generation]:
    return [generation for group in groups for generation in group]


def same(policy: LoraPolicy, engine: VllmServerEngine) -> list[list[int]]:
    """The engine's answers, which are those of the policy's own engine, for the same seeds."""
    rows: list[int] = []
    ours = policy.engine.generate(PROMPTS, 2, SAMPLING, range(4), [8, 4])
    theirs = engine.generate(PROMPTS, 2, SAMPLING, range(4), [8, 4], lambda row, _: rows.append(row))
    for a, b in zip(flat(ours), flat(theirs), strict=True):
        assert (a.ids.tolist(), a.finish) == (b.ids.tolist(), b.finish)
        np.testing.assert_allclose(a.logprobs, b.logprobs, atol=2e-5)
    assert sorted(rows) == list(range(4))
    return [g.ids.tolist() for g in flat(theirs)]


def completions(server: StandIn) -> list[Any]:
    return [body for path, body in server.calls if path == "/v1/completions"]


def test_it_decodes_with_the_adapter_as_it_is_now(
    policy: LoraPolicy, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = engine_of(policy, server)
    assert not server.calls  # nobody is asked before the first sequence
    first = same(policy, engine)
    notes = capsys.readouterr().err.splitlines()
    assert notes[0].startswith(f"simko: engine: vLLM 0.11.0 at {server.url} has ")
    assert "sampler and trainer differ by" in notes[1]
    (name,) = server.adapters
    assert same(policy, engine) == first
    assert list(server.adapters) == [name]
    assert sum(path == "/v1/load_lora_adapter" for path, _ in server.calls) == 1
    move(policy, 1)
    assert same(policy, engine) != first
    (other,) = server.adapters  # the old one is unloaded, and its folder is gone
    assert other != name
    assert [path.name for path in Path(server.adapters[other]).parent.iterdir()] == [other]
    with policy.base():
        same(policy, engine)
        assert completions(server)[-1]["model"] == server.model
    assert capsys.readouterr().err.count("(base model)") == 1  # one probe with the adapter, one without
    move(policy, 1)
    folder = Path(server.adapters[other]).parent
    del engine
    gc.collect()
    assert not server.adapters
    assert not folder.exists()


def test_equal_adapters_have_one_name(
    policy: LoraPolicy, server: StandIn, tmp_path: Path, model_folder: Folder
) -> None:
    twin = LoraPolicy.from_pretrained(model_folder(), "none", lora_rank=4, device="cpu")
    move(twin)
    shared = str(tmp_path / "adapters")
    mine, theirs = (engine_of(each, server, adapter_folder=shared) for each in (policy, twin))
    assert same(policy, mine) == same(twin, theirs)
    (name,) = server.adapters
    assert [path.name for path in (tmp_path / "adapters").iterdir()] == [name]
    move(policy, 1)
    same(policy, mine)  # it unloads the name that the other still decodes with
    assert name not in server.adapters
    same(twin, theirs)
    assert name in server.adapters


def test_a_name_whose_folder_is_gone_is_loaded_again(policy: LoraPolicy, server: StandIn) -> None:
    engine = engine_of(policy, server)
    same(policy, engine)
    (name,) = server.adapters
    server.adapters[name] = "/no/such/folder"  # left by a run that was killed
    again = engine_of(policy, server)
    same(policy, again)
    assert Path(server.adapters[name]).is_dir()


def test_what_the_environment_ends_counts(policy: LoraPolicy, server: StandIn) -> None:
    """The server looks at parts of a text. It may see a stop string that the whole text lacks, or miss one that it has."""
    endless = Sampling(max_new_tokens=10, stop_ids=(10**6,))
    whole = policy.engine.generate(PROMPTS, 1, endless, [1, 2])
    engine = engine_of(policy, server)
    engine.generate(PROMPTS, 1, endless, [1, 2])
    asked = len(completions(server))

    def early(content: dict[str, Any]) -> dict[str, Any]:
        choice = content["choices"][0]
        if len(choice["token_ids"]) > 4:
            choice["token_ids"] = choice["token_ids"][:4]
            choice["logprobs"] = {"token_logprobs": choice["logprobs"]["token_logprobs"][:4]}
            choice["finish_reason"] = "stop"
        return content

    server.spoil = early
    parts = engine.generate(PROMPTS, 1, endless, [1, 2])
    assert [len(g.ids) for g in flat(parts)] == [10, 10]
    assert [g.finish for g in flat(parts)] == ["length", "length"]
    assert [g.ids[:4].tolist() for g in flat(parts)] == [g.ids[:4].tolist() for g in flat(whole)]
    assert completions(server)[-1]["max_tokens"] < 10
    assert len(completions(server)) > asked + 2
    server.spoil = lambda content: content
    text = policy.tokenizer.decode(whole[0][0].ids.tolist())
    stop = next(character for character in text if character.strip())
    body_stop = replace(endless, stop=(stop,))
    ours = policy.engine.generate(PROMPTS[:1], 1, body_stop, [1])
    complete = server.complete
    server.complete = lambda body: complete(body | {"stop": []})  # type: ignore[method-assign]
    late = engine.generate(PROMPTS[:1], 1, body_stop, [1])
    assert late[0][0].ids.tolist() == ours[0][0].ids.tolist()
    assert late[0][0].finish == "stop"


def test_sequences_are_handed_over_as_they_end(policy: LoraPolicy, server: StandIn) -> None:
    engine = engine_of(policy, server)
    same(policy, engine)
    free = threading.Event()

    def hold(handler: Handler, body: dict[str, Any]) -> bool:
        return bool(body["seed"] == 2**40 and not free.wait(20))

    server.fault = hold
    rows: list[int] = []

    def finished(row: int, _: Generation) -> None:
        rows.append(row)
        if len(rows) == 3:
            free.set()  # the slow one goes on once all others have been handed over

    engine.generate(PROMPTS, 2, SAMPLING, [2**40, 1, 2, 3], on_finish=finished)
    assert rows[-1] == 0
    assert len(rows) == 4


def test_connections_are_bounded(policy: LoraPolicy, server: StandIn) -> None:
    engine, live, most, lock = engine_of(policy, server, connections=2), [0], [0], threading.Lock()
    both = threading.Barrier(2, timeout=20)

    def count(handler: Handler, body: dict[str, Any]) -> bool:
        with lock:
            live[0] += 1
            most[0] = max(most[0], live[0])
        both.wait()
        with lock:
            live[0] -= 1
        return False

    engine.generate(PROMPTS, 1, SAMPLING, [0, 1])
    server.fault = count
    engine.generate(PROMPTS, 2, SAMPLING, range(4))
    assert most == [2]


def test_failures_that_are_safe_are_tried_again(policy: LoraPolicy, server: StandIn) -> None:
    engine, failures = engine_of(policy, server), []

    def fail_twice(handler: Handler, body: dict[str, Any]) -> bool:
        failures.append(1)
        if len(failures) == 1:
            handler.connection.close()  # reset
            return True
        if len(failures) == 2:
            handler.send(503, {"error": {"message": "starting"}})
            return True
        if len(failures) == 3:  # a reply that breaks off
            handler.send_response(200)
            handler.send_header("Content-Length", "1000")
            handler.end_headers()
            handler.wfile.write(b'{"choices": [')
            handler.close_connection = True
            return True
        return False

    server.fault = fail_twice
    same(policy, engine)
    assert len(failures) > 3


def test_a_server_that_was_started_again_gets_the_adapter_again(policy: LoraPolicy, server: StandIn) -> None:
    engine = engine_of(policy, server)
    first = same(policy, engine)
    server.adapters.clear()
    assert same(policy, engine) == first


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"version": "0.10.2"}, "the server is vLLM 0.10.2; take 0.11 or newer"),
        (
            {"model": "/models/other"},
            r"the trainer's model is '.*', and the server's is '/models/other'; .*--served-model-name",
        ),
        (
            {"updating": False},
            r"does not load adapters while it runs; .*VLLM_ALLOW_RUNTIME_LORA_UPDATING=1 vllm serve .*",
        ),
        ({"max_lora_rank": 2}, r"LoRA rank 4 is greater than max_lora_rank 2\.\); start it with: .*--max-lora-rank 8 "),
        ({"max_model_len": 9}, "up to 11 tokens, and the server's --max-model-len is 9; .*--max-model-len 11"),
        (
            {"logprobs_mode": "raw_logprobs"},
            r"log-probs from before the temperature; .*--logprobs-mode processed_logprobs",
        ),
        ({"ignores_adapters": True}, "answers as the base model, without the adapter"),
        ({"key": "secret"}, "refuses the key .*; set SIMKO_ENGINE_KEY"),
    ],
)
def test_a_server_with_other_settings_is_refused(
    policy: LoraPolicy, server: StandIn, change: dict[str, Any], line: str
) -> None:
    for name, value in change.items():
        setattr(server, name, value)
    if "ignores_adapters" in change:
        for _ in range(3):
            move(policy, 1)  # an adapter that says something
    with pytest.raises(UserError, match=line) as refusal:
        engine_of(policy, server).generate(PROMPTS, 1, SAMPLING, [0, 1])
    assert "\n" not in str(refusal.value)


def test_another_base_model_is_refused(policy: LoraPolicy, model_folder: Folder) -> None:
    with serving(StandIn(model_folder(seed=7))) as server:
        server.served = policy.name
        with torch.no_grad():  # small random models are all alike; this one is sure of something else
            policy.lm_head().weight.mul_(30)
        with pytest.raises(UserError, match=r"not the trainer's \(.* at most 1\): it has another base model"):
            engine_of(policy, server).generate(PROMPTS, 1, SAMPLING, [0, 1])


def test_a_smaller_vocabulary_is_refused(policy: LoraPolicy, server: StandIn) -> None:
    complete = server.complete

    def smaller(body: dict[str, Any]) -> tuple[int, Any]:
        if max(body["prompt"]) > 20:
            return 400, {"error": {"message": f"Token id {max(body['prompt'])} is out of vocabulary"}}
        return complete(body)

    server.complete = smaller  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"knows \d+ ids, and the server refuses the last \(Token id"):
        engine_of(policy, server).generate(PROMPTS, 1, SAMPLING, [0, 1])


def test_an_adapter_folder_that_the_server_does_not_see(policy: LoraPolicy, server: StandIn, tmp_path: Path) -> None:
    load = server.load
    server.load = lambda body: load(body | {"lora_path": "/elsewhere"})  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"finds no adapter in .*--engine-adapter-folder"):
        engine_of(policy, server).generate(PROMPTS, 1, SAMPLING, [0, 1])
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written .*another --engine-adapter-folder"):
        engine_of(policy, server, adapter_folder=str(tmp_path / "file")).generate(PROMPTS, 1, SAMPLING, [0, 1])


def test_a_server_that_dies_or_hangs_ends_the_call(policy: LoraPolicy, server: StandIn) -> None:
    engine = engine_of(policy, server, timeout=1.0)
    same(policy, engine)
    free = threading.Event()

    def hang(handler: Handler, body: dict[str, Any]) -> bool:
        free.wait(20)
        handler.close_connection = True
        return True

    server.fault = hang
    with pytest.raises(UserError, match="no sequence has ended for 1 s; raise --engine-timeout"):
        engine.generate(PROMPTS, 1, SAMPLING, [0, 1])
    free.set()

    def die(handler: Handler, body: dict[str, Any]) -> bool:
        handler.close_connection = True
        return True

    server.fault = die
    with pytest.raises(UserError, match=r"no reply \(.*go on with --resume"):
        engine.generate(PROMPTS, 1, SAMPLING, [0, 1])
    assert len(completions(server)) >= 3
    server.fault = lambda handler, body: False
    same(policy, engine)  # and the engine can be used again


def test_an_exception_of_the_caller_ends_the_requests(policy: LoraPolicy, server: StandIn) -> None:
    engine, begun, hung_up = engine_of(policy, server), threading.Event(), threading.Event()
    same(policy, engine)

    def slow(handler: Handler, body: dict[str, Any]) -> bool:
        if body["seed"] == 1:
            begun.set()
            handler.connection.settimeout(20)
            if handler.rfile.read(1) == b"":  # the client hangs up
                hung_up.set()
            handler.close_connection = True
            return True
        return False

    def stop(row: int, _: Generation) -> None:
        assert begun.wait(20)
        raise KeyboardInterrupt

    server.fault = slow
    with pytest.raises(KeyboardInterrupt):
        engine.generate(PROMPTS, 1, SAMPLING, [0, 1], on_finish=stop)
    assert hung_up.wait(20)


def test_a_key_reaches_the_server(policy: LoraPolicy, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    server.key = "secret"
    monkeypatch.setenv("SIMKO_ENGINE_KEY", "secret")
    same(policy, engine_of(policy, server))
    monkeypatch.setenv("SIMKO_ENGINE_KEY", "no\nline")
    with pytest.raises(UserError, match="a character that no key has") as refusal:
        engine_of(policy, server)
    assert "line" not in str(refusal.value).replace("one line", "")
