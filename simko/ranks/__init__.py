"""Several processes that share the work of one run: each is a replica, and two things are dealt out to them."""
