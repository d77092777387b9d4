"""Export: a trained policy as folders and files for other programs, with a card, and a check that it is still the policy."""
