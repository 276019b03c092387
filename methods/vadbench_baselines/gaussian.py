"""A Gaussian of rows, from sums that one pass over them leaves: memory is the square of the width."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

NO_SPREAD = 1e-12
"""Largest total variance of rows that count as equal, and largest share of their mean square length where that is
above 1: what cancels in the variance of long rows is not exactly 0. Their covariance is the identity (our decision)."""


class RowSums:
    """The number of rows, their sum ``(dim,)`` and the sum of their outer products ``(dim, dim)``, in float64."""

    def __init__(self, dim: int) -> None:
        self.count = 0
        self.total = torch.zeros(dim, dtype=torch.float64)
        self.products = torch.zeros(dim, dim, dtype=torch.float64)

    def add(self, rows: Tensor) -> None:
        """Count float64 rows ``(n, dim)``."""
        self.count += len(rows)
        self.total += rows.sum(0)
        self.products.addmm_(rows.T, rows)

    def __add__(self, other: RowSums) -> RowSums:
        both = RowSums(len(self.total))
        both.count = self.count + other.count
        both.total, both.products = self.total + other.total, self.products + other.products
        return both

    @property
    def mean(self) -> Tensor:
        """The mean ``(dim,)``."""
        return self.total / self.count

    @property
    def covariance(self) -> Tensor:
        """The covariance ``(dim, dim)``, divided by the number of rows."""
        return self.products / self.count - torch.outer(self.mean, self.mean)


class Gaussian(NamedTuple):
    """A Gaussian: its mean ``(dim,)``, and the inverse ``(dim, dim)`` of the lower Cholesky factor of its
    covariance."""

    mean: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, sums: RowSums, shrinkage: float) -> Gaussian:
        """Return the Gaussian of rows, its covariance shrunk towards the mean variance.

        ``(1 - shrinkage) * C + shrinkage * tr(C) / dim * I``, as in scikit-learn's ``shrunk_covariance``.

        Args:
            sums: of one row or more.
            shrinkage: above 0, where the covariance has an inverse whatever the rows, to 1.
        """
        covariance = sums.covariance
        identity = torch.eye(len(covariance), dtype=torch.float64)
        variance = covariance.trace()
        if variance <= NO_SPREAD * max(1.0, float(sums.products.trace()) / sums.count):
            return cls(sums.mean, identity)
        shrunk = (1 - shrinkage) * covariance + shrinkage * variance / len(covariance) * identity
        return cls(sums.mean, torch.linalg.solve_triangular(torch.linalg.cholesky(shrunk), identity, upper=False))

    def distances(self, rows: Tensor) -> Tensor:
        """Return the squared Mahalanobis distances ``(n,)`` of rows ``(n, dim)``, divided by the width: about 1 for
        rows like those that it was made of."""
        return ((rows - self.mean) @ self.inverse.T).square().mean(1)
