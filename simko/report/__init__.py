"""Reports on evaluations: pass@K, bands, tables and plots. No torch; matplotlib only with `simko.report.plot`."""

from simko.report.bands import Band, FirstLoss, band, decide, first_loss, holm, words
from simko.report.counts import Counts, Tally, curve_of, summarise
from simko.report.cover import cover_at, cover_curve, pass_all_k
from simko.report.majority import majority_at_k
from simko.report.passk import k_grid, pass_at_k, pass_matrix

__all__ = [
    "Band",
    "Counts",
    "FirstLoss",
    "Tally",
    "band",
    "cover_at",
    "cover_curve",
    "curve_of",
    "decide",
    "first_loss",
    "holm",
    "k_grid",
    "majority_at_k",
    "pass_all_k",
    "pass_at_k",
    "pass_matrix",
    "summarise",
    "words",
]
