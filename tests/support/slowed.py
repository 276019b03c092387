"""``vadbench`` with a pause in each training step, run as a script by tests that kill it.

``python slowed.py PAUSE ARGUMENT...``
"""

import sys
import time

from vadbench.cli import main
from vadbench.training import stages
from vadbench.training.optimisers import Optimisers

_STEP = Optimisers.step


def _slow_step(self):
    time.sleep(float(sys.argv[1]))
    _STEP(self)


if __name__ == "__main__":
    stages.SAVE_SECONDS = 0.0
    Optimisers.step = _slow_step
    main(sys.argv[2:])
