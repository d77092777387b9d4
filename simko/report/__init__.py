"""pass@K, intervals, tables and plots. No torch."""
