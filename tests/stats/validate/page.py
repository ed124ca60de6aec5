"""docs/validation.md, written from what a run recorded."""

from collections.abc import Iterable
from math import isfinite

from tests.stats.validate.record import Record, Row

HEAD = """# Validation

Every check of the statistics at its full replications, and the same figure for a variant that is broken on purpose,
which the pass band must reject. A rate that must be at most a may exceed it by three standard errors.

```sh
./dev validate                  # all of it, in two processes; writes this page
./dev validate --only V3,V10    # these rows anew
./dev validate --smoke          # the short form, which the tests run too
./dev validate --peers          # makes the peers' own environment first (about 1.2 GB), for V26
```

{summary} {machine} Every generator starts from seed {seed}.
A test of the suite runs three rows of this page again, chosen at random, and compares their figures.

| check | what | replications | result | pass band | | broken variant | its result | | CPU s |
| --- | --- | ---: | ---: | --- | --- | --- | ---: | --- | ---: |
"""

TAIL = """
## What else was seen

"""


def rendered(record: Record) -> str:
    rows = record.rows
    held = sum(row.holds for row in rows)
    commits = sorted({row.commit for row in rows})
    cpu = sum(row.seconds for row in rows)
    took = f"the last whole run took {record.minutes:.0f} minutes, {cpu:.0f} CPU seconds and the peers' own"
    summary = f"**{held} of {len(rows)} hold.** Commit {', '.join(commits)}; {took}."
    seeds = ", ".join(map(str, sorted({row.seed for row in rows})))
    head = HEAD.format(summary=summary, machine=record.machine, seed=seeds)
    return head + "".join(map(line, rows)) + TAIL + "\n".join(noted(rows)) + "\n"


def line(row: Row) -> str:
    cells = (
        row.id,
        row.title,
        f"{row.replications:,}",
        number(row.figure),
        row.band,
        "held" if row.passed else "**failed**",
        row.broken_name,
        number(row.broken_figure),
        "rejected" if row.broken_rejected else "**not rejected**",
        f"{row.seconds:.0f}",
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def number(value: float) -> str:
    """
    >>> number(0.01949), number(2), number(12345.6)
    ('0.0195', '2', '12,346')
    """
    if not isfinite(value):
        return "none"
    if value == round(value) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.1f}"


def noted(rows: Iterable[Row]) -> Iterable[str]:
    for row in rows:
        if row.detail or row.broken_detail or row.table:
            yield f"**{row.id}** {row.detail or row.title}." + broken(row)
            yield from table(row.table)
            yield ""


def broken(row: Row) -> str:
    return f" Broken: {row.broken_detail}." if row.broken_detail else ""


def table(rows: tuple[tuple[str, ...], ...]) -> Iterable[str]:
    """The first row is the heading."""
    if rows:
        yield ""
        yield "| " + " | ".join(rows[0]) + " |"
        yield "| --- |" + " ---: |" * (len(rows[0]) - 1)
        yield from ("| " + " | ".join(row) + " |" for row in rows[1:])
