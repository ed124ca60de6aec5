"""Experiments: one door. Any sample ratio mismatch (`srm(...).blocks`) makes what follows void.

fixed n           cuped, welch
planned looks     spending_bounds, constant_bounds; sprt for one simple alternative
any time          `canary` for rates; srm's e-value for the split
traffic that learns  thompson, ucb1; after_bandit, difference_after_bandit — never the raw arm means
runs that compete    rungs and asha, median_rule: heuristics, and labelled so

What was not assigned at random goes to `aipw`, which fits models and so is for workers.
"""

from app.stats.bandits import after_bandit, choose, difference_after_bandit, thompson, ucb1
from app.stats.cuped import Adjusted, cuped, welch
from app.stats.groupsequential import Bounds, Ratio, Shape, Stop, constant_bounds, crossing, spending_bounds, sprt
from app.stats.srm import SplitCheck, srm
from app.stats.stopping import Advice, asha, median_rule, rungs

__all__ = [
    "Adjusted",
    "Advice",
    "Bounds",
    "Ratio",
    "Shape",
    "SplitCheck",
    "Stop",
    "after_bandit",
    "asha",
    "choose",
    "constant_bounds",
    "crossing",
    "cuped",
    "difference_after_bandit",
    "median_rule",
    "rungs",
    "spending_bounds",
    "sprt",
    "srm",
    "thompson",
    "ucb1",
    "welch",
]
