"""The ends of a 95 % interval, as SciPy's distributions give them."""

from scipy import stats


def widened(videos):
    """The two percentiles that are the ends of an interval which rests on a number of videos."""
    t = stats.t.ppf(0.975, videos - 1) * (videos / (videos - 1)) ** 0.5
    return [100 * stats.norm.cdf(-t), 100 * stats.norm.cdf(t)]
