"""Time-uniform boundaries: a sum S_t with variance V_t stays below boundary(V_t) for ever with chance ≥ 1 − α.

Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences", Ann. Stat. 2021
(arXiv 1810.08240); the equations named below are theirs. Each is tightest about one variance, chosen beforehand.
"""

from collections.abc import Callable
from math import exp, inf, log, log1p, sqrt

from scipy.special import betaln, gammainc, gammaln, log_ndtr, zeta


def tightest_rho(v: float, alpha: float = 0.05, *, one_sided: bool = True) -> float:
    """The mixture's ρ whose boundary is about smallest at variance `v` (their section 3.5).

    >>> round(tightest_rho(500.0), 3)
    79.003
    """
    if v <= 0 or not 0 < alpha < 0.5:
        raise ValueError("v must be positive, alpha in (0, ½)")
    spent = -2 * log(2 * alpha if one_sided else alpha)
    return v / (spent + log1p(spent))


def normal_mixture(v: float, alpha: float, *, tightest_at: float, one_sided: bool = True) -> float:
    """Boundary of a sub-Gaussian sum, mixed over a (half) normal prior (proposition 5 and equation 14).

    One-sided: P(S_t ≥ boundary ever) ≤ α; two-sided: P(|S_t| ≥ …) ≤ α.

    >>> round(normal_mixture(1000, 0.05, tightest_at=500), 6)
    88.304025
    >>> round(normal_mixture(1000, 0.05, tightest_at=500, one_sided=False), 6)
    96.81241
    """
    rho = tightest_rho(tightest_at, 0.05, one_sided=one_sided)
    if not one_sided:
        return sqrt((v + rho) * (log1p(v / rho) - 2 * log(alpha)))

    def log_e(s: float) -> float:
        return log(4 * rho / (v + rho)) / 2 + s * s / (2 * (v + rho)) + float(log_ndtr(s / sqrt(v + rho)))

    return _crossing(log_e, -log(alpha), v)


def gamma_exponential(v: float, alpha: float, *, tightest_at: float, c: float) -> float:
    """Boundary of a sub-exponential sum with scale `c` (proposition 9): values bounded above by c, say.

    >>> round(gamma_exponential(100, 0.05, tightest_at=100, c=1), 6)
    30.23813
    """
    rho, square = tightest_rho(tightest_at), c * c
    start = rho / square
    constant = start * log(start) - float(gammaln(start)) - log(float(gammainc(start, start)))

    def log_e(s: float) -> float:
        a, b = (v + rho) / square, (c * s + v + rho) / square
        return constant + float(gammaln(a)) + log(float(gammainc(a, b))) - a * log(b) + b - start

    return _crossing(log_e, -log(alpha), v)


def poly_stitching(v: float, alpha: float, *, least: float, c: float = 0.0, s: float = 1.4, eta: float = 2.0) -> float:
    """The closed form that grows as √(v log log v) (theorem 1, h(k) = (k+1)^s ζ(s)); `least`: where it begins to hold.

    >>> round(poly_stitching(100, 0.05, least=10), 6)
    35.68049
    """
    if least <= 0 or s <= 1 or eta <= 1:
        raise ValueError("least must be positive, s and eta above 1")
    v = max(v, least)
    spread, skew = (eta**0.25 + eta**-0.25) / sqrt(2), (sqrt(eta) + 1) / 2
    ell = s * log(log(eta * v / least)) + log(float(zeta(s)) / log(eta) ** s) - log(alpha)
    bend = skew * c * ell
    return sqrt(spread**2 * v * ell + bend**2) + bend


def beta_binomial(x: int, n: int, level: float = 0.95, *, tightest_at: float) -> tuple[float, float]:
    """Confidence sequence of a rate, sub-Bernoulli, tightest at `tightest_at` rows (proposition 7); (0, 1) at n = 0.

    `intervals.beta_mixture` has a fixed prior instead; this one is sharper where the horizon is known.

    >>> [round(end, 6) for end in beta_binomial(950, 1000, tightest_at=1000)]
    [0.926589, 0.968501]
    """
    if n == 0:
        return 0.0, 1.0
    mean, target = x / n, -log(1 - level)

    def log_e(p: float) -> float:
        rho = tightest_rho(p * (1 - p) * tightest_at, 0.05, one_sided=False)
        r = max(rho / (p * (1 - p)) - 1, 1e-3)  # the prior's size, in rows: Beta(r (1−p), r p) about p
        a, b = r * (1 - p), r * p
        return (
            float(betaln(a + n - x, b + x) - betaln(a, b))
            - (x * log(p) if x else 0)
            - ((n - x) * log1p(-p) if x < n else 0)
        )

    low = 0.0 if x == 0 else _end(log_e, target, 0.0, mean)
    return low, 1.0 if x == n else _end(log_e, target, 1.0, mean)


def rate_log_e(x: int, n: int, q0: float, prior: tuple[float, float] = (0.5, 0.5)) -> float:
    """log e against "the rate is q0", by a beta mixture; one that rejects at 1/α is outside `intervals.beta_mixture`.

    log B(a + x, b + n − x) − log B(a, b) − x log q0 − (n − x) log(1 − q0). A prior about a known rate (Beta(100, 1900)
    for .05) is sharper against small changes.

    >>> round(rate_log_e(80, 1000, 0.05, (100, 1900)), 6)
    2.687359
    """
    if not 0 < q0 < 1:
        raise ValueError(f"q0: {q0} is not inside (0, 1)")
    a, b = prior
    return float(betaln(a + x, b + n - x) - betaln(a, b)) - x * log(q0) - (n - x) * log1p(-q0)


def msprt(mean: float, n: int, variance: float, tau2: float) -> float:
    """log e of the mixture sequential probability ratio test of "the mean is 0" (Johari et al. 2022), prior N(0, τ²).

    ½ log(σ² / (σ² + nτ²)) + n²τ² mean² / (2σ² (σ² + nτ²)). Exact for normal values of known variance, else asymptotic.

    >>> round(msprt(0.02, 5000, 0.25, 1e-4), 6)
    2.117361
    """
    wide = variance + n * tau2
    return log(variance / wide) / 2 + n * n * tau2 * mean * mean / (2 * variance * wide)


def msprt_half_width(n: int, variance: float, tau2: float, level: float = 0.95) -> float:
    """Of the confidence sequence that inverts `msprt`: the means it has not beaten by 1/α lie this near. ∞ at n = 0.

    √(2 (σ² + nτ²) σ² / (n² τ²) · (log 1/α + ½ log(1 + nτ²/σ²))).

    >>> half = msprt_half_width(5000, 0.25, 1e-4)
    >>> round(half, 6), abs(msprt(half, 5000, 0.25, 1e-4) + log(0.05)) < 1e-9
    (0.02306, True)
    """
    if n == 0:
        return inf
    wide = variance + n * tau2
    return sqrt(2 * wide * variance / (n * n * tau2) * (-log(1 - level) + log(wide / variance) / 2))


def capped_p(log_e: float) -> float:
    """An e-value as a p-value that holds at any time: min(1, 1/e).

    >>> capped_p(-1.0), round(capped_p(3.0), 4)
    (1.0, 0.0498)
    """
    return 1.0 if log_e <= 0 else exp(-log_e)


def _crossing(log_e: Callable[[float], float], target: float, v: float) -> float:
    """The s > 0 with log_e(s) = target, log_e rising; to the last bits. ∞ if there is none below 2⁵⁰ v."""
    high = max(v, 1.0)
    for _ in range(50):
        if log_e(high) > target:
            break
        high *= 2
    else:
        return inf
    low = 0.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if log_e(middle) < target else (low, middle)
    return (low + high) / 2


def _end(log_e: Callable[[float], float], target: float, far: float, near: float) -> float:
    """Where log_e falls to the target between `far` (above it) and `near` (below)."""
    for _ in range(60):
        middle = (far + near) / 2
        if middle in {0.0, 1.0} or log_e(middle) >= target:
            far = middle
        else:
            near = middle
    return far
