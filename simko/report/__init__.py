"""Reports on evaluations: pass@K, intervals, tables and plots. No torch; matplotlib only with `simko.report.plot`."""

from simko.report.counts import Counts, Tally, curve_of, summarise
from simko.report.majority import majority_at_k
from simko.report.passk import Curve, bootstrap, crossover, k_grid, mean_curve, pass_at_k, pass_matrix

__all__ = [
    "Counts",
    "Curve",
    "Tally",
    "bootstrap",
    "crossover",
    "curve_of",
    "k_grid",
    "majority_at_k",
    "mean_curve",
    "pass_at_k",
    "pass_matrix",
    "summarise",
]
