"""`make gpu`: tests, benchmarks, forecasts and a real run on the GPU at hand, written to docs/results/gpu as page and JSON."""
