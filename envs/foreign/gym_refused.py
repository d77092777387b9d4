"""Tasks of reasoning-gym that are refused by name, each with the reason. `python -m studies.reasoning_gym` finds them."""

from __future__ import annotations

REFUSED: dict[str, str] = {
    "boxnet": "it ships no answer",
    "complex_arithmetic": "its scorer takes nonsense",
    "composite": "it makes no items (AssertionError: Must specify at least one dataset)",
    "fraction_simplification": "its scorer takes answers that hedge",
    "game_of_life_halting": "its scorer takes nonsense",
    "graph_color": "it ships no answer",
    "gsm_symbolic": "its scorer takes answers that hedge",
    "intermediate_integration": "its scorer refuses some of its own answers",
    "letter_jumble": "its scorer takes answers that hedge",
    "polynomial_equations": "its scorer takes answers that hedge",
    "propositional_logic": "it ships no answer",
    "puzzle24": "its scorer takes the answers of other items",
    "rubiks_cube": "it ships no answer",
    "rush_hour": "it ships no answer",
    "sokoban": "its scorer takes answers that hedge",
    "time_intervals": "its scorer takes answers that hedge",
}
