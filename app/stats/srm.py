"""Sample ratio mismatch: traffic that is not split as it was meant to be makes every comparison void."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, gammaln

Floats = NDArray[np.float64]

BLOCKS_BELOW = 0.001  # p: ten times stricter than an effect's, since every experiment is tested for it
PRIOR = 1.0  # of the Dirichlet, per arm


@dataclass(frozen=True, slots=True)
class SplitCheck:
    """`p` holds at a fixed n, `anytime_p` = 1/e at every look (it may only be taken at its smallest so far)."""

    shares: Floats
    expected: Floats
    p: float
    log_e: float
    anytime_p: float
    n: int
    method: str = "χ² and multinomial-dirichlet e-value"
    assumption: str = "units are assigned independently"
    validity: str = "p at a fixed n; log_e and anytime_p at any time"

    @property
    def blocks(self) -> bool:
        """Whether no decision may rest on this experiment."""
        return self.anytime_p < BLOCKS_BELOW


def srm(counts: ArrayLike, expected: ArrayLike) -> SplitCheck:
    """Units by arm against the shares meant. No units: p = 1.

    The e-value is the Dirichlet(1, …) mixture of multinomials over the meant one (Lindon and Malek 2022).

    >>> found = srm([5000, 5210], [0.5, 0.5])
    >>> round(found.p, 6), round(found.log_e, 6), found.blocks
    (0.037683, -2.230255, False)
    >>> srm([5000, 5600], [0.5, 0.5]).blocks
    True
    """
    seen, share = np.asarray(counts, np.float64), np.asarray(expected, np.float64)
    if seen.shape != share.shape or seen.size < 2 or (share <= 0).any() or (seen < 0).any():
        raise ValueError("counts, expected: one each per arm, two or more, expected shares positive")
    share = share / share.sum()
    n, arms = float(seen.sum()), seen.size
    if n == 0:
        return SplitCheck(np.full(arms, np.nan), share, 1.0, 0.0, 1.0, 0)
    chi2 = float(((seen - n * share) ** 2 / (n * share)).sum())
    mixture = gammaln(seen + PRIOR).sum() - gammaln(n + arms * PRIOR)
    log_e = float(mixture - arms * gammaln(PRIOR) + gammaln(arms * PRIOR) - (seen * np.log(share)).sum())
    return SplitCheck(seen / n, share, float(chdtrc(arms - 1, chi2)), log_e, float(np.exp(min(-log_e, 0.0))), int(n))
