"""From "F false pages a year over M monitors" to the threshold each detector alarms at.

By `edetector`'s bound a detector with threshold A pages falsely at most K/A times in K looks, on average, however the
monitors depend on each other. So the log threshold is log(K M / F), and shares of F add up over detectors.
"""

import math

from app.stats.bets import NORMAL, RANKED, Bets

# Looks in a year, every hour and every day.
HOURLY, DAILY = 8_766, 365

# How much rarer than the bound false alarms on exactly uniform p-values are, in logs: evidence jumps over its
# threshold. The law of the p-values of H and R is known in full, so this is arithmetic, done by simulation of 1.2·10⁷
# looks at each threshold from e⁶ to e¹¹: the least over all, less three standard errors. R's bets have steps, and its
# overshoot swings between .6 and 1.2; H's does not move. (least rows, gain) by bets.
OVERSHOOT: dict[Bets, tuple[tuple[int, float], ...]] = {
    NORMAL: ((500, 0.87), (100, 0.43), (50, 0.31), (20, 0.20)),
    RANKED: ((0, 0.55),),
}


def log_threshold(looks: float, false_pages: float, *, monitors: int = 1, share: float = 1.0) -> float:
    """log A such that `monitors` detectors with `looks` each page falsely ≤ `false_pages` · `share` times on average.

    Also the log threshold for "P(any false page) ≤ false_pages" over those looks. Proved for every increment with
    E[L | past] ≤ 1; not below 0. For a promise without an end use the weighted form.

    >>> round(log_threshold(200, 0.05), 3)
    8.294
    >>> round(log_threshold(HOURLY, 1, monitors=1000), 3)
    15.986
    """
    if looks <= 0 or false_pages <= 0 or monitors < 1 or not 0 < share <= 1:
        raise ValueError("looks, false_pages, monitors and share must be positive, share at most 1")
    return max(0.0, math.log(looks * monitors / (false_pages * share)))


def overshoot(bets: Bets, least_rows: int) -> float:
    """What may be taken off the log threshold of H and R, whose p-values are uniform whatever the data's law.

    `least_rows`: the smallest bucket in view (H; R's bets do not depend on it). 0 for bets that were not measured.

    >>> overshoot(NORMAL, 100), overshoot(NORMAL, 7), overshoot(Bets((1.0,)), 500)
    (0.43, 0.0, 0.0)
    """
    return next((gain for rows, gain in OVERSHOOT.get(bets, ()) if least_rows >= rows), 0.0)
