"""Is the final answer equal to the gold answer?"""
