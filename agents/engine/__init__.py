"""Decoding: engines that continue prompts, and what they share."""
