"""Several processes that share the work of one run: each is a replica, and two things are dealt out to them.

Decoding with grading, and forwards with backwards. All else every rank does itself, from the same inputs: so a method need not
know of ranks. In one process nothing is dealt, packed or sent.
"""

from simko.ranks.parcel import Parcel
from simko.ranks.worlds import ALONE, PeerError, Signals, World, add_tensors, of_all, of_main, share, within, world

__all__ = [
    "ALONE",
    "Parcel",
    "PeerError",
    "Signals",
    "World",
    "add_tensors",
    "of_all",
    "of_main",
    "share",
    "within",
    "world",
]
