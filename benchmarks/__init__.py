"""Do the budgets of the design hold? `python -m benchmarks` answers, with ratios between contestants of one run."""

# How a group that takes minutes is told where the files go, and how many times longer than usual to measure.
OUTPUT = "GMF_BENCH_OUTPUT"
STRETCH = "GMF_BENCH_STRETCH"
