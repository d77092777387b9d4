"""Decoding: engines that continue prompts, all through `simko.types.Engine.generate`, and their parts.

by_name          an engine for each value of the setting `engine`
local            the default: a transformers model in this process; `slots`, `cache`, `graphs` and `sampler` serve it
held             the model that an engine decodes with, built once for all turns of a rollout
slots            the model's side: prompts go into slots, live slots move on by one token
cache, graphs    keys and values of the slots; decode steps as CUDA graphs
sampler          from logits to a token
generate_batch   transformers' continuous batching
vllm             a vLLM engine in this process
vllm_server      a vLLM server elsewhere; `vllm_http` asks it, `vllm_reply` refuses what was not asked, `vllm_adapter` brings the
                 adapter there, `vllm_probe` compares log-probs, `vllm_look` looks at its settings
parallel         calls of another machine, many at once
requests, stops  for all engines: the sequences asked for and their answers; where a sequence ends
"""
