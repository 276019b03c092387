"""Frame counts and row counts: whether annotations, videos and features belong together."""

from __future__ import annotations

from vadbench.base.errors import DataError


def require_frames(name: str, stated: int | None, found: int, tolerance: int) -> None:
    """Raise if a video has another number of frames than its annotation was made for.

    Raises:
        DataError: the counts differ by more than the tolerance; names the video.
    """
    if stated is not None and abs(stated - found) > tolerance:
        raise DataError(
            f"{name}: the data set states {stated} frames, found {found}; the annotation and the video do not belong"
            " together"
        )


def rows_fit(rows: int, stride: int, frames: int, tolerance: int) -> bool:
    """Return True if a video of ``frames`` frames can have ``rows`` rows.

    Its last frames may have a row or none, and feature sets in circulation leave one row out.

    >>> [rows_fit(rows, 16, 1600, tolerance=2) for rows in (98, 99, 100, 101, 103)]
    [False, True, True, True, False]
    """
    most_left_over = stride if stride > 1 else 0
    return -(stride - 1) - tolerance <= frames - rows * stride <= most_left_over + tolerance


def require_rows(name: str, rows: int, stride: int, frames: int, tolerance: int) -> None:
    """Raise if features cannot be those of a video of ``frames`` frames.

    Feature sets differ in what they do with a video's last frames: a row for them, none, or one row less even where
    none are left over. A larger difference means another video.

    Raises:
        DataError: the rows are too few or too many; names the video.
    """
    if not rows_fit(rows, stride, frames, tolerance):
        raise DataError(
            f"{name}: {rows} feature rows of {stride} frames each do not fit a video of {frames} frames; the features"
            " and the annotation do not belong together (vadbench data check shows all such videos)"
        )
