"""Runs forms of checks in two processes, the long ones first, each with its own generator, and shows how far it is."""

import multiprocessing
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.stats import validate
from tests.stats.simulations.registry import Check, Result
from tests.stats.validate.record import Form, Found

PROCESSES = 2
# CPU seconds of a full form where they are many: the long ones start first, and the bar moves evenly.
LONG = {"V26": 300, "B5": 90, "V25": 20, "V27": 20, "V22": 20, "B1": 15, "B2": 18, "V19": 16, "V16": 15, "V18": 11}
USUAL = 5


def run(id_: str, form: Form) -> Found:
    """One form in this process. Its figure depends on nothing but the code, the seed and the replications."""
    check = validate.checks()[id_]
    replications = check.smoke if form == "smoke" else check.replications
    method = check.broken if form == "broken" else check.run
    started = time.process_time()
    result = method(replications, np.random.default_rng(check.seed))
    return Found(id_, form, result, time.process_time() - started)


def cost(id_: str, form: Form) -> float:
    return LONG.get(id_, USUAL) if form == "full" else 2


def run_all(checks: Iterable[Check], forms: tuple[Form, ...], console: Console) -> dict[str, dict[Form, Found]]:
    """By id and form. Processes are started fresh, so nothing is shared but the code."""
    tasks = sorted(((check.id, form) for check in checks for form in forms), key=lambda task: -cost(*task))
    found: dict[str, dict[Form, Found]] = {}
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:3.0f} %"),
        TimeElapsedColumn(),
    )
    fresh = multiprocessing.get_context("spawn")
    with Progress(*columns, console=console) as progress, ProcessPoolExecutor(PROCESSES, fresh) as pool:
        bar = progress.add_task(f"{len(tasks)} runs", total=sum(cost(*task) for task in tasks))
        waiting = {pool.submit(run, *task): task for task in tasks}
        for done in as_completed(waiting):
            error = done.exception()
            one = done.result() if error is None else broke(*waiting[done], error)
            found.setdefault(one.id, {})[one.form] = one
            progress.update(bar, advance=cost(*waiting[done]), description=described(waiting.values(), found))
            report(one, console)
    return found


def broke(id_: str, form: Form, error: BaseException) -> Found:
    """A check that raises has failed, and so has one whose broken variant does; the others go on."""
    result = Result(float("nan"), "no error", passed=form == "broken", detail=repr(error))
    return Found(id_, form, result, 0.0)


def described(tasks: Iterable[tuple[str, Form]], found: dict[str, dict[Form, Found]]) -> str:
    left = [task for task in tasks if task[1] not in found.get(task[0], {})]
    return f"{len(left)} runs to go" if left else "done"


def report(one: Found, console: Console) -> None:
    """A full or short form must pass, a broken variant must not."""
    good = one.result.passed != (one.form == "broken")
    colour, word = ("green", "held") if good else ("red", "FAILED")
    if one.form == "broken":
        word = "rejected" if good else "NOT REJECTED"
    console.print(
        f"[{colour}]{one.id:>4} {one.form:<6} {word:<12}[/] {one.result.figure:.4g} ({one.result.band}) "
        f"{one.seconds:.0f} s {one.result.detail}",
        highlight=False,
        soft_wrap=True,
    )
