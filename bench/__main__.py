"""`python -m bench [NAME …] [--full] [--peers]`."""

import argparse

from bench import health, ingest, labels, mixed, peers, query, statistics

BENCHMARKS = {
    "ingest": ingest.run,
    "labels": labels.run,
    "query": query.run,
    "mixed": mixed.run,
    "health": health.run,
    "statistics": statistics.run,
}
PEERS = {"statistics": peers.run}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="./dev bench", description="Ratios against raw limits, measured side by side."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--full", action="store_true", help="the long form: up to 10⁷ predictions, about 20 minutes")
    parser.add_argument("--peers", action="store_true", help="also other packages, from their own environment")
    options = parser.parse_args()
    unknown = set(options.names) - set(BENCHMARKS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(BENCHMARKS)}")
    for name in options.names or BENCHMARKS:
        BENCHMARKS[name](full=options.full)
        if options.peers and name in PEERS:
            PEERS[name](full=options.full)


if __name__ == "__main__":
    main()
