"""Drawings of the loop: one step, a forking token, the loss head, engines, memory, several cards."""

from __future__ import annotations

from simko.advantages import group_normalised
from simko.memory.forecast import GB, Job
from simko.memory.planner import choose
from simko.memory.shapes import BUILT_IN
from studies.drawings.svg import WIDTH, Drawing


def loop() -> Drawing:
    """One step of training, as a ring."""
    draw = Drawing(
        "loop",
        280,
        "The loop: one step of training",
        "A ring of six boxes. Task, group of answers, verdicts, advantages, loss, update, and back to the next task.",
    )
    right, wrong = (f"{value:+.2f}" for value in group_normalised([1.0, 0.0, 0.0, 1.0])[:2])
    task = draw.box(20, 25, 190, "1. Task\na problem, drawn\nfrom seed and step")
    group = draw.box(285, 25, 190, "2. Group\nthe policy samples\nG answers to it", "ours")
    verdicts = draw.box(550, 25, 190, "3. Verdicts\nthe verifier says:\nright wrong wrong right", "good")
    advantages = draw.box(550, 165, 190, f"4. Advantages\n{right}  {wrong}\n{wrong}  {right}", "ours")
    loss = draw.box(285, 165, 190, "5. Loss\neach token: pull up\nor push down", "ours")
    update = draw.box(20, 165, 190, "6. Update\none optimizer step\nof the adapter", "ours")
    draw.arrow(task.right, group.left)
    draw.arrow(group.right, verdicts.left)
    draw.arrow(verdicts.bottom, advantages.top)
    draw.arrow(advantages.left, loss.right)
    draw.arrow(loss.left, update.right)
    draw.arrow(update.top, task.bottom)
    draw.text(125, 122, "next step")
    draw.text(20, 252, "A method chooses 2, 4 and 5. SimKO changes 5, at tokens where the policy hesitates.")
    return draw


def simko() -> Drawing:
    """What SimKO does with one token of an answer."""
    draw = Drawing(
        "simko",
        455,
        "What SimKO does with one token of an answer",
        "A decision. A token whose entropy is not among the highest fifth of its answer is trained as GRPO trains it. At the "
        "others, a right answer shares its pull among the K likeliest tokens, and a wrong answer that took the likeliest one is "
        "pushed down harder.",
    )
    token = draw.box(255, 15, 250, "A token of an answer\nhow unsure was the policy here?", "plain")
    sure = draw.box(20, 115, 220, "Sure\nthe lower four fifths of\nthe answer's entropies", "panel")
    unsure = draw.box(
        385, 115, 290, "Unsure: a forking token\nabove the 0.8 quantile\nof the answer's entropies", "mind"
    )
    right = draw.box(260, 235, 225, "Right answer\nadvantage A above 0", "good")
    wrong = draw.box(515, 235, 225, "Wrong answer, A below 0\nwas it the likeliest token?", "bad")
    plain = draw.box(20, 330, 200, "As in GRPO\nthe sampled token alone\nis pulled or pushed")
    share = draw.box(260, 330, 225, "Share\n1 - alpha to the token,\nalpha to the K likeliest", "ours")
    harder = draw.box(515, 330, 225, "Yes: push harder\nfactor lambda on the push\nNo: as in GRPO", "ours")
    draw.arrow((token.x + 40, token.y + token.h), (sure.x + sure.w / 2, sure.y))
    draw.arrow((token.x + 210, token.y + token.h), (unsure.x + unsure.w / 2, unsure.y))
    draw.arrow((sure.x + 100, sure.y + sure.h), plain.top)
    draw.arrow((unsure.x + 60, unsure.y + unsure.h), right.top)
    draw.arrow((unsure.x + 230, unsure.y + unsure.h), wrong.top)
    draw.arrow(right.bottom, share.top)
    draw.arrow(wrong.bottom, harder.top)
    draw.text(
        WIDTH / 2, 420, "Defaults: K = 3, alpha = 0.01, lambda = 1.1. The pull shared out has the same sum.", "middle"
    )
    return draw


def head() -> Drawing:
    """One sweep over the vocabulary, and the gather behind it."""
    draw = Drawing(
        "head",
        400,
        "The loss head: one sweep over the vocabulary",
        "Hidden states meet the output weights tile by tile. Each tile of logits is folded into running sums and thrown away. "
        "The statistics go to the loss. The backward gathers a few rows of the weights and the mean row Wbar.",
    )
    states = draw.box(20, 30, 190, "Hidden states h\nN tokens x D numbers")
    weights = draw.box(20, 120, 190, "Output weights W\nV x D, frozen,\nread tile by tile")
    tile = draw.box(285, 58, 190, "A tile of logits\nh W^T / temperature\nnever kept", "mind", 100)
    sums = draw.box(
        550, 40, 190, "Running sums\nlargest logit, S, T\nK likeliest ids\nWbar: mean row of W", "ours", 135
    )
    draw.arrow(states.right, (tile.x, tile.y + 25))
    draw.arrow(weights.right, (tile.x, tile.y + 78))
    draw.arrow(tile.right, (sums.x, tile.y + 50))
    draw.text(380, 166, "next tile, until all V are read", "middle")
    stats = draw.box(550, 235, 190, "Statistics\nlog p of 1 + K ids,\nentropy, is it top-1", "ours")
    loss = draw.box(285, 235, 190, "Loss of the method\ngives g: one number\nfor each log p", "plain")
    back = draw.box(20, 235, 190, "Gradient of h\na gather of 1 + K\nrows of W, and Wbar", "good")
    draw.arrow((645, sums.y + sums.h), stats.top)
    draw.arrow(stats.left, loss.right)
    draw.arrow(loss.left, back.right)
    draw.text(380, 338, "dL/dh = ( sum of g_j W[id_j]  -  (sum of g_j) Wbar ) / temperature", "middle", bold=True)
    draw.text(380, 366, "No array of N x V numbers exists at any time.", "middle")
    return draw


def engine() -> Drawing:
    """What decodes: the local engine's slots, and the other ways."""
    draw = Drawing(
        "engine",
        415,
        "What decodes the answers of a step",
        "The local engine: a queue of prompts fills slots of a cache that was made once. Each step adds one token to each live "
        "slot. An answer that ends is graded at once, and its slot takes the next prompt. Below: the weights that may be decoded "
        "with, and the vLLM server.",
    )
    draw.box(15, 15, 730, "Engine local: in this process", "panel", 205)
    queue = draw.box(35, 60, 155, "Queue\nthe longest first,\nequal prompts\nside by side")
    cache = draw.box(245, 50, 250, "", "ours", 155)
    draw.text(370, 55, "Cache, made once", "middle", bold=True)
    draw.text(370, 75, "one row for each slot", "middle")
    for row, width in enumerate((150, 90, 190)):
        y = cache.y + 56 + 31 * row
        draw.box(cache.x + 20, y, 210, "", "plain", 24)
        draw.box(cache.x + 20, y, width, "", "mind", 24)
    ended = draw.box(550, 60, 175, "An answer ends\ngraded at once,\nwhile the others\nare decoded", "good")
    draw.arrow(queue.right, (cache.x, 109))
    draw.arrow((cache.x + cache.w, 109), ended.left)
    draw.text(550, 170, "Its slot is free for\nthe next prompt.")
    merged = draw.box(35, 250, 210, "Merged weights\na copy for the rollout:\nfaster, more memory", "ours")
    live = draw.box(265, 250, 210, "Live weights\nthe 4-bit layers with\nthe adapter beside them", "ours")
    draw.box(515, 250, 210, "vLLM server\nanother card or machine:\ngets the adapter", "plain")
    draw.arrow(merged.top, (merged.top[0], 220))
    draw.arrow(live.top, (live.top[0], 220))
    draw.text(35, 350, "Both hold the same adapter.\nOne of them serves the cache above.")
    draw.text(515, 350, "It replaces the whole\nengine above.")
    return draw


def memory() -> Drawing:
    """What lies on a card in both phases, by the plan of one model."""
    shape, card = BUILT_IN["Qwen2.5-1.5B"], 8.0
    plan = choose(shape, Job("cuda", "nf4", 16, 8, 8, 256, 1024), card * GB)
    draw = Drawing(
        "memory",
        440,
        f"What lies on a card of {card:g} GB, by the plan for {shape.name}",
        "Two bars, the rollout and the update, stacked of the same base: libraries, weights, adapter and optimizer. Above it "
        "the rollout holds the cache of keys and values, logits and perhaps a merged copy; the update holds gradients, "
        "activations and the loss head.",
    )
    ground, scale = 385.0, 320.0 / card
    draw.text(380, 12, f"{shape.name}, 64 answers of 1,024 tokens: a forecast for {card:g} GB", "middle", bold=True)
    limit = ground - card * scale
    draw.line((60, limit), (700, limit), dashed=True)
    draw.text(700, limit + 2, "the card", "end")
    draw.line((60, ground), (700, ground))
    for x, phase in ((110.0, "rollout"), (430.0, "update")):
        below = ground
        small = 0.0
        for entry in sorted(plan.forecast.items, key=lambda entry: entry.phase != "both"):
            if entry.phase not in ("both", phase):
                continue
            height = entry.bytes / GB * scale
            if height < 22:
                small += entry.bytes
                continue
            below -= height
            kind = "ours" if entry.phase == "both" else "mind" if phase == "rollout" else "good"
            draw.box(x, below, 235, "", kind, height)
            draw.text(x + 117, below + height / 2 - 10, f"{entry.name}, {entry.bytes / GB:.2f}", "middle")
        below -= small / GB * scale
        draw.box(x, below, 235, "", "plain", small / GB * scale)
        draw.text(x + 117, below + small / GB * scale / 2 - 10, f"the rest, {small / GB:.2f}", "middle")
        total = (plan.forecast.rollout if phase == "rollout" else plan.forecast.update) / GB
        verb = "decodes" if phase == "rollout" else "updates"
        draw.text(x + 117, ground + 8, f"while it {verb}: {total:.1f} GB", "middle", bold=True)
    draw.text(380, ground + 30, "Blue lies there in both phases. The larger phase decides.", "middle")
    return draw


def cards() -> Drawing:
    """How two processes share a step."""
    draw = Drawing(
        "cards",
        470,
        "How two processes share one step",
        "Both processes draw the same tasks. Each decodes and grades a part of the answers, then both have all. Each computes "
        "the gradient of a part of the rows, then the gradients are summed. Both take the same step. Only process 0 writes.",
    )
    for x, rank in ((20.0, 0), (410.0, 1)):
        draw.box(x, 15, 330, f"Process {rank}: card {rank}, the whole model", "panel", 445)
        draw.box(x + 40, 55, 250, "Draw the tasks: the same", "plain")
        draw.box(x + 40, 120, 250, f"Decode and grade: part {rank + 1}", "ours")
        draw.box(x + 40, 240, 250, f"Gradient: rows of part {rank + 1}", "ours")
        draw.box(x + 40, 360, 250, "Optimizer step: the same", "plain")
        last = "Write the run folder" if rank == 0 else "Write nothing"
        draw.box(x + 40, 412, 250, last, "good" if rank == 0 else "panel")
        for top, bottom in ((93, 120), (158, 180), (218, 240), (278, 300), (338, 360), (398, 412)):
            draw.arrow((x + 165, top), (x + 165, bottom))
    draw.box(90, 180, 580, "All answers go to all: JSON and safetensors over gloo", "mind")
    draw.box(90, 300, 580, "One sum of the adapter's gradient: NCCL or gloo", "mind")
    return draw
