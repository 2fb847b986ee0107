"""Do the budgets of the design hold? `python -m benchmarks` answers, with ratios between contestants of one run."""
