"""What probabilities claimed and what came of them, by bins of the score; each gap and error is counted once for all
metrics that ask for it."""

from dataclasses import dataclass
from functools import cached_property, reduce

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Claims:
    """Of equal-width bins of the score, each [..., bins]: `claimed` Σp, `hits` and `rows`.

    A hit: the positive class happened (binary), the top class did (multiclass).

    >>> found = Claims(np.array([1.0, 4.0]), np.array([2, 4]), np.array([10, 5]))
    >>> [round(float(error), 3) for error in (found.plug_in, found.plug_in_square, found.debiased_square)]
    [0.067, 0.007, -0.019]
    """

    claimed: Floats
    hits: Ints
    rows: Ints

    @cached_property
    def share(self) -> Floats:
        """[..., bins] of all rows, n_b/n."""
        return np.asarray(self.rows / np.maximum(self.rows.sum(axis=-1, keepdims=True), 1))

    @cached_property
    def gap(self) -> Floats:
        """[..., bins] ȳ_b − p̄_b; 0 in empty bins."""
        return np.asarray((self.hits - self.claimed) / self._some)

    @cached_property
    def plug_in(self) -> Floats:
        """[...] Σ n_b/n |ȳ_b − p̄_b|, the expected calibration error (Naeini et al. 2015)."""
        return over_bins(self.share * np.abs(self.gap))

    @cached_property
    def plug_in_square(self) -> Floats:
        """[...] Σ n_b/n (ȳ_b − p̄_b)²"""
        return over_bins(self._square)

    @cached_property
    def debiased_square(self) -> Floats:
        """[...] the same less what chance adds (Kumar, Liang and Ma 2019).

        From each bin's squared gap goes ȳ(1 − ȳ)/(n_b − 1); it may be negative, and its mean is 0 where the model is
        calibrated (the plug-in of such a model is .057 at n = 500). Bins with one row are left out.
        """
        frequency = self.hits / self._some
        noise = frequency * (1 - frequency) / np.maximum(self.rows - 1, 1)
        return over_bins(np.where(self.rows > 1, self._square - self.share * noise, 0.0))

    @cached_property
    def error_square(self) -> Floats:
        """[..., bins] squared standard error of n_b/n (ȳ_b − p̄_b).

        Inside a bin y − p varies by no more than √(ȳ(1 − ȳ)) plus half the bin's width; one hit and one miss are added
        to ȳ so that a bin of equal outcomes still varies.
        """
        n, half = np.maximum(self.rows.sum(axis=-1, keepdims=True), 1), 0.5 / self.rows.shape[-1]
        frequency = (self.hits + 1) / (self.rows + 2)
        within = (np.sqrt(frequency * (1 - frequency)) + half) ** 2
        return np.asarray((self.share * within + self._square * (1 - self.share)) / n)

    @cached_property
    def _some(self) -> Ints:
        return np.maximum(self.rows, 1)

    @cached_property
    def _square(self) -> Floats:
        return np.asarray(self.share * self.gap**2)


def over_bins(parts: Floats) -> Floats:
    """Σ over the last axis, bin by bin: the same bits for one point as for many.

    >>> over_bins(np.array([[0.25, 0.5], [1.0, 2.0]])).tolist()
    [0.75, 3.0]
    """
    return np.asarray(reduce(np.add, np.moveaxis(parts, -1, 0)))
