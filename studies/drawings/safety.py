"""Drawings of what holds: an episode, the way of an answer and of a program, bands, and what may be lost."""

from __future__ import annotations

from studies.drawings.svg import Drawing


def contract() -> Drawing:
    """The timeline of an episode of two turns."""
    draw = Drawing(
        "contract",
        385,
        "An episode of two turns, token by token",
        "Reset gives the prompt. Each step appends one token of the policy. A stop string ends the turn, and the environment "
        "appends its reply. The last step ends the episode and gives the reward. Only tokens of the policy carry a loss.",
    )
    strips = (
        (20.0, 150.0, "Prompt", "panel", "-"),
        (176.0, 160.0, "First turn", "ours", "True"),
        (342.0, 120.0, "Reply", "mind", "False"),
        (468.0, 160.0, "Second turn", "ours", "True"),
        (634.0, 106.0, "Padding", "plain", "-"),
    )
    draw.text(20, 12, "The observation: tokens, and length", bold=True)
    for x, width, name, kind, mark in strips:
        box = draw.box(x, 40, width, name, kind)
        draw.text(box.bottom[0], 84, mark, "middle")
    draw.text(20, 110, "Below each part: sampled. True carries a loss, False carries none.")
    rows = (
        (150, "reset(seed)", "plain", "observation: the prompt. info: task id, text. Never the gold answer."),
        (200, "step(token)", "ours", "appends one id. reward 0.0, both flags False, info empty."),
        (250, "a stop string", "mind", "the turn is over. The environment's reply comes in the same step."),
        (
            300,
            "the last step",
            "good",
            "terminated: the policy ended it. truncated: the budget cut it.\n"
            "reward and verdict; now info tells the gold answer.",
        ),
    )
    for y, name, kind, note in rows:
        box = draw.box(20, y, 150, name, kind)
        draw.text(185, y + (0 if "\n" in note else 9), note)
        if y < 300:
            draw.arrow(box.bottom, (box.bottom[0], y + 50))
    draw.text(20, 355, "A step after the end raises ResetNeeded. A slot of the vector environment waits for a reset.")
    return draw


def verifiers() -> Drawing:
    """The way of an answer through the verifier math."""
    draw = Drawing(
        "verifiers",
        440,
        "The way of an answer through the verifier math",
        "The text is read: thoughts, comments and programs are taken away. One explicit final answer is found, or none. Rules "
        "in our own process compare text, units, exact numbers and shapes. What is left must pass a list of allowed tokens, "
        "and a worker process compares it. The verdict comes out.",
    )
    text = draw.box(20, 25, 200, "Response\ntext of the model:\nhostile input", "bad")
    read = draw.box(280, 25, 200, "Reading\nwithout thoughts,\ncomments, programs", "ours")
    one = draw.box(540, 25, 200, "One final answer\na box, a statement, or\nthe whole short text", "ours")
    none = draw.box(540, 165, 200, "none: no_answer\ntwo that differ:\nincorrect", "panel")
    rules = draw.box(280, 165, 200, "Rules, in process\ntext, units, exact\nnumbers, shapes", "ours")
    allowed = draw.box(280, 290, 200, "Allow-list\nevery token of the\nformula is known", "mind")
    worker = draw.box(20, 290, 200, "Worker process\nsympy, math-verify:\narithmetic, 0.8 s", "mind")
    verdict = draw.box(20, 165, 200, "Verdict\noutcome, reward,\nwhat was read", "good")
    draw.arrow(text.right, read.left)
    draw.arrow(read.right, one.left)
    draw.arrow(one.bottom, none.top)
    draw.arrow((one.x + 20, one.y + one.h), (rules.x + rules.w - 40, rules.y))
    draw.arrow(rules.left, verdict.right)
    draw.arrow(rules.bottom, allowed.top)
    draw.arrow(allowed.left, worker.right)
    draw.arrow(worker.top, verdict.bottom)
    no = draw.box(540, 290, 200, "Not on the list\nequal by residues,\nelse incorrect", "panel")
    draw.arrow(allowed.right, no.left)
    draw.text(
        20,
        385,
        "Decided: to the left. Left open: down.\n"
        "A worker that fails or runs out of time gives no wrong answer: error or timeout, masked and counted.",
    )
    return draw


def promises() -> Drawing:
    """What may be lost at each moment of a step."""
    draw = Drawing(
        "promises",
        420,
        "What a kill costs at each moment of a run",
        "Four moments of a step, each with what is on the disk and what a kill costs. Nothing that was acknowledged is lost: the "
        "run goes on from the newest whole checkpoint and comes to the same bytes on a CPU.",
    )
    moments = (
        (
            "Decode",
            "tokens are drawn\nfrom (seed, step,\ntask, sample, turn)",
            "this step's answers:\nthe same are drawn\nagain",
        ),
        ("Grade", "each verdict is on\ndisk as it is reached", "no verdict: a step\nthat is run again\nhears the same"),
        (
            "Update, record",
            "metrics and answers\nof the step",
            "steps since the last\ncheckpoint; they are\ndone again",
        ),
        ("Checkpoint", "a folder takes its\nname when it is whole", "the half folder;\nthe one before\nit counts"),
    )
    draw.text(20, 12, "A step, from left to right", bold=True)
    before = None
    for index, (name, disk, cost) in enumerate(moments):
        x = 15 + 185.0 * index
        top = draw.box(x, 40, 170, name, "ours")
        draw.text(x, 90, disk)
        draw.box(x, 180, 170, "A kill costs\n" + cost, "mind", 100)
        if before:
            draw.arrow(before.right, top.left)
        before = top
    draw.box(
        15,
        300,
        730,
        "After all of them: simko train --resume\n"
        "goes on from the newest whole checkpoint; on a CPU the run ends in the same bytes",
        "good",
    )
    draw.text(
        15,
        366,
        "Ctrl-C and SIGTERM cost nothing that is whole: they save the last whole step.\n"
        "A full disk ends the run with one line. A step that is not finite is not taken.",
    )
    return draw


def statistics() -> Drawing:
    """From the table of seeds and problems to the words."""
    draw = Drawing(
        "statistics",
        330,
        "From samples to the words better, worse and not decided",
        "Each seed answers the same problems. Counts of right answers give pass@K at every K. The difference of two arms gets "
        "one band over all K. Where the band excludes zero a word is said, elsewhere it is not decided.",
    )
    draw.box(20, 20, 200, "Right answers of n", "panel", 180)
    for row in range(3):
        for column in range(4):
            draw.box(35 + 44 * column, 60 + 34 * row, 38, "", "ours" if (row + column) % 3 else "plain", 28)
    draw.text(120, 168, "seeds x problems", "middle")
    curve = draw.box(
        275, 20, 200, "Curve\npass@K of each arm,\nand their difference\non the same problems", "ours", 180
    )
    band = draw.box(
        530, 20, 210, "One band over all K\nfrom two spreads:\nbetween problems and\nbetween seeds", "mind", 180
    )
    draw.arrow((220, 110), curve.left)
    draw.arrow(curve.right, band.left)
    draw.box(20, 235, 220, "Better\nthe band lies above 0", "good")
    draw.box(270, 235, 220, "Not decided\nthe band holds 0", "panel")
    draw.box(520, 235, 220, "Worse\nthe band lies below 0", "bad")
    draw.line((635, 200), (635, 217))
    draw.line((130, 217), (635, 217))
    for x in (130, 380, 635):
        draw.arrow((x, 217), (x, 235))
    draw.text(380, 298, "One word for each K below n. No word is said without the band.", "middle")
    return draw


def code() -> Drawing:
    """The way of a program."""
    draw = Drawing(
        "code",
        400,
        "The way of a program",
        "The program is taken out of the answer. Tests are taken apart outside. The program and the calls go into the sandbox, "
        "the expected values stay outside. Values come out and are compared outside.",
    )
    answer = draw.box(20, 25, 200, "Answer\nthe last block of\nPython is the program", "bad")
    tests = draw.box(20, 225, 200, "Tests of the problem\nassert f(1) == 2", "plain", 90)
    apart = draw.box(280, 225, 200, "Taken apart\ncalls: f(1)\nexpected: 2", "ours", 90)
    draw.box(265, 12, 475, "Sandbox: sandlock or bubblewrap", "panel", 148)
    runner = draw.box(290, 55, 190, "Runner\nruns the program,\nthen each call", "bad")
    out = draw.box(540, 55, 180, "Values, as JSON\nat most 8 MiB", "mind", 78)
    compare = draw.box(540, 225, 200, "Comparison\n2 == 2, worked out\non plain data", "ours", 90)
    verdict = draw.box(540, 345, 200, "Verdict", "good")
    draw.arrow((answer.x + answer.w, 69), (runner.x, 87))
    draw.arrow(tests.right, apart.left)
    draw.arrow((apart.x + 100, apart.y), (runner.x + 90, runner.y + runner.h))
    draw.text(375, 176, "only the calls go in", "end")
    draw.arrow(runner.right, out.left)
    draw.arrow(out.bottom, (out.bottom[0], compare.y))
    draw.arrow(apart.right, compare.left)
    draw.arrow(compare.bottom, verdict.top)
    draw.text(20, 338, "The expected value never enters the sandbox:\nwhat is not there cannot be read or forged.")
    return draw
