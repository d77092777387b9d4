#!/bin/sh
# SmolLM2-135M-Instruct, NF4 + LoRA, on one CPU core: from half-solving one-digit sums, 30 SimKO steps, and a control of none.
#   MODEL=/path/to/SmolLM2-135M-Instruct OUT=runs/smollm2 sh studies/smollm2_arithmetic.sh
# In 4 bit the model answers 0-4 % of these sums at first, so 15 steps of warm-up bring it to where a study can begin;
# --force because the first groups hardly carry a signal.
set -eu
common="--env simko/Arithmetic-v0 --level 1 --model $MODEL --prompts-per-step 8 --group-size 8 --max-new-tokens 16
 --temperature 0.6 --threads 1 --logger none"
simko train $common --steps 15 --learning-rate 3e-4 --force --out "$OUT/warm"
warm=$OUT/warm/checkpoints/step-000015/adapter
simko train $common --steps 0 --adapter "$warm" --out "$OUT/control"
for method in simko grpo; do
    simko train $common --steps 30 --adapter "$warm" --algorithm $method --learning-rate 1e-4 --seed 1 --out "$OUT/$method"
done
for run in control simko grpo; do
    simko eval "$OUT/$run" -n 64 --problems 40 --temperature 1 --top-p 1 --no-base --threads 1
done
