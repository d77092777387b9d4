"""More than one process: ranks are replicas of one run, and share its decoding, its grading and its forwards."""
