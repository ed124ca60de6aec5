"""The benchmarks a user can run: `./dev bench [NAME …] [--full]`; each prints ratios against limits of the same run."""
