"""Decoding: engines that continue prompts, all through `simko.types.Engine.generate`, and their parts.

by_name          an engine for each value of the setting `engine`
local            the default: a transformers model in this process; `slots`, `cache`, `graphs` and `sampler` serve it
held             the model that an engine decodes with, built once for all turns of a rollout
slots            the model's side: prompts go into slots, live slots move on by one token
cache, graphs    keys and values of the slots; decode steps as CUDA graphs
sampler          from logits to a token
generate_batch   transformers' continuous batching
vllm             a vLLM engine in this process
vllm_server      a vLLM server elsewhere, and its parts: `vllm_http` (requests), `vllm_reply` (what is refused), `vllm_adapter` (the
                 adapter there), `vllm_probe` (are its log-probs ours?), `vllm_look` (its settings), `parallel` (many at once)
requests, stops  for all engines: the sequences asked for and their answers; where a sequence ends
"""
