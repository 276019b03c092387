"""Rebuild the rows behind the one-class golden vectors, with numpy only.

The vectors were made by a literal float64 implementation of the equations in docs/methods/one-class.md, not by anybody's published code.

    python load.py [folder ...]      # self-check of stored checksums; default: public
"""
import json
import os
import sys

import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))

_KNN = dict(detector='knn', width=64, normal=[1, 2, 40, 7, 120, 33, 5, 64, 200, 16], normalise=True, k=5,
            capacity=16384, coreset=0, shrinkage=0.1, quantile=0.95, calibration=2048, test=[1, 2, 3, 17, 64, 200])
# normal: rows of the normal training videos, in stream order. Constants not changed are the defaults.
CONFIGS = {
    'knn': dict(_KNN, offset=0),
    'knn_k1': dict(_KNN, offset=0, k=1),
    'knn_cap': dict(_KNN, offset=0, capacity=100),
    'knn_core': dict(_KNN, offset=0, capacity=200, coreset=40, calibration=50),
    'knn_one_video': dict(_KNN, offset=1000, normal=[60]),
    'knn_few_rows': dict(_KNN, offset=2000, normal=[2, 1]),
    'knn_one_row': dict(_KNN, offset=2000, normal=[1]),
    'knn_raw': dict(_KNN, offset=3000, normalise=False),
    'knn_wide': dict(_KNN, offset=4000, width=512, capacity=300),
    'gauss': dict(_KNN, offset=0, detector='gaussian'),
    'gauss_cap': dict(_KNN, offset=0, detector='gaussian', capacity=100),
    'gauss_half': dict(_KNN, offset=0, detector='gaussian', shrinkage=0.5),
    'gauss_raw': dict(_KNN, offset=3000, detector='gaussian', normalise=False),
    'gauss_few_rows': dict(_KNN, offset=2000, detector='gaussian', normal=[2, 1]),
    'gauss_one_row': dict(_KNN, offset=2000, detector='gaussian', normal=[1]),
    'gauss_wide': dict(_KNN, offset=4000, detector='gaussian', width=512),
}
E2E = ('knn', 'knn_cap', 'gauss')
E2E_VIDEOS = 20
STRIDE = 16


def recipe(which):
    """which: a folder beside this file -> dict with the integer 'seed'; memory.seed of every configuration is 7."""
    with open(os.path.join(HERE, which, 'recipe.json')) as f:
        return json.load(f)


MEMORY_SEED = 7


def _rows(seed, name, place, length, event=None):
    c = CONFIGS[name]
    base = np.random.RandomState(seed + c['offset']).standard_normal((9, c['width']))
    rs = np.random.RandomState(seed + c['offset'] + place)
    scene = base[1 + rs.randint(0, 6)]
    walk = np.cumsum(0.05 * rs.standard_normal((length, c['width'])), axis=0)
    x = base[0] + 0.5 * scene + 0.3 * rs.standard_normal(c['width']) + walk
    x = x + 0.2 * rs.standard_normal((length, c['width']))
    if event is not None:
        x[event[0]:event[1]] += 0.6 * base[7 + place % 2]
    return (0.5 * x).astype(np.float32)


def normal_videos(seed, name):
    """Rows (length, width) float32 of the normal training videos, in the order in which they are streamed."""
    return [_rows(seed, name, 100 + i, n) for i, n in enumerate(CONFIGS[name]['normal'])]


def test_videos(seed, name):
    return [_rows(seed, name, 10 + i, n, (n // 3, n // 2)) for i, n in enumerate(CONFIGS[name]['test'])]


def e2e_set(seed, name):
    """A small test split: list of dicts(x (rows, width), gt (16 rows,) float64)."""
    rs = np.random.RandomState(seed + CONFIGS[name]['offset'] + 500)
    out = []
    for i in range(E2E_VIDEOS):
        n = int(rs.randint(3, 80))
        a = int(rs.randint(0, n // 2 + 1))
        b = int(min(n, a + 1 + rs.randint(0, n // 2 + 1)))
        gt = np.zeros(n * STRIDE)
        if i % 3 != 2:
            gt[a * STRIDE:b * STRIDE] = 1
        out.append(dict(x=_rows(seed, name, 600 + i, n, (a, b) if i % 3 != 2 else None), gt=gt))
    return out


def checksum(arrays):
    """Sum and sum of squares in float64 over a list of arrays."""
    s = sum(float(np.asarray(a, np.float64).sum()) for a in arrays)
    q = sum(float((np.asarray(a, np.float64) ** 2).sum()) for a in arrays)
    return np.array([s, q])


def checksums(seed, name):
    """Normal and test rows of a configuration, as (2, 2)."""
    return np.stack([checksum(normal_videos(seed, name)), checksum(test_videos(seed, name))])


def self_check(which):
    seed = recipe(which)['seed']
    for name in CONFIGS:
        with np.load(os.path.join(HERE, which, name + '.npz')) as g:
            assert np.allclose(checksums(seed, name), g['check'], rtol=1e-9), (which, name)
            if name in E2E:
                assert np.allclose(checksum([v[k] for v in e2e_set(seed, name) for k in ('x', 'gt')]), g['check_e2e'])
            print(which, name, 'ok,', len(g.files), 'arrays')


if __name__ == '__main__':
    default = [d for d in ('public',) if os.path.isfile(os.path.join(HERE, d, 'recipe.json'))]
    for which in sys.argv[1:] or default:
        self_check(which)
