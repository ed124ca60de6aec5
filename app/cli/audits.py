"""`assay audit`: the chain over the audit."""

from typing import Annotated

import typer

from app.audit.chain import Finding
from app.audit.service import Report, UnknownSecretError
from app.cli.accounts import Accounts, on_accounts
from app.cli.console import fail, note, results, subcommands
from app.cli.environment import load

commands = subcommands("The audit. Works on the database itself, so it needs its address and no log-in.")

_SAID = {
    "changed": "row {row} was changed after its hour was closed",
    "removed": "row {row} was removed after its hour was closed",
    "inserted": "row {row} was put in after its hour was closed",
    "head": "the chain's head, which says where it ends, was changed or removed",
    "unknown": "the chain's head is sealed with a secret that is not known here (ASSAY_AUTH__RETIRED_SECRETS)",
    "beyond": "the chain's head says that it ends here, and it goes on: hours were closed without the head's secret",
    "cut": "the chain ended here, and does not any more: hours were taken from its end",
    "link": "the link that closes the hour was changed, or the one before it was removed",
}


@commands.command(epilog="Examples: assay audit verify · assay audit verify --holds 3f1c…")
def verify(
    holds: Annotated[
        str | None,
        typer.Option(
            metavar="DIGEST",
            help="a digest kept elsewhere (the log has one of every closed hour), which must be in the chain; "
            "so a chain that was made anew from some hour on is seen too",
        ),
    ] = None,
) -> None:
    """Compare every row of the closed hours with the chain; each that is not as it was is named, and the end is 1.

    It is 1 too where rows are older than two hours and not closed, though hours are closed here.
    """

    async def work(here: Accounts) -> Report:
        return await here.audit.verify()

    report = on_accounts(load(), work)
    for finding in report.findings:
        results.print(_sentence(finding), markup=False)
    if report.findings:
        fail(f"{len(report.findings)} things are not as they were closed")
    if holds is not None and holds.lower() not in report.digests:
        fail(f"no hour of the chain has the digest {holds}")
    note(
        f"{report.rows} rows of {len(report.digests)} closed hours are as they were; {report.still_open} are not closed"
    )
    if report.unknown_seals:
        note(f"{report.unknown_seals} hours were sealed with a secret that is not among the settings' any more")
    if report.overdue:
        _tell_overdue(report)
    if report.digests:
        results.print(report.digests[-1])


@commands.command(epilog="Example: assay audit close")
def close() -> None:
    """Close every hour that is over: from then on the chain vouches for its rows."""

    async def work(here: Accounts) -> int:
        return await here.audit.close_hours()

    try:
        closed = on_accounts(load(), work)
    except UnknownSecretError as problem:
        fail(str(problem))
    note(f"{closed} hours were closed")


@commands.command(epilog="Example: assay audit reseal")
def reseal() -> None:
    """Vouch for the chain as it ends now: after its secret was lost, or once what is wrong with its end is understood.

    What is wrong is told, and stands in the audit. Rows and links that are not as they were are named ever after.
    """

    async def work(here: Accounts) -> Finding | None:
        return await here.audit.reseal()

    found = on_accounts(load(), work)
    if found is None:
        note("nothing is wrong with the chain's end: nothing was sealed")
    else:
        results.print(_sentence(found), markup=False)
        note("the chain is sealed as it ends now")


def _tell_overdue(report: Report) -> None:
    """Where no worker has ever been, nobody expects one to have closed them."""
    said = f"{report.overdue} rows are older than two hours and not closed: nothing vouches for them"
    mend = "start a worker (`assay worker`), or close them by `assay audit close`"
    if report.unattended:
        note(f"{said}; {mend}")
    else:
        fail(f"{said}; {mend}")


def _sentence(finding: Finding) -> str:
    return f"hour until {finding.hour:%Y-%m-%d %H:%M} UTC: {_SAID[finding.kind].format(row=finding.row)}"
