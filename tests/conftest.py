"""Shared pieces: a tiny data set and methods as scratch plugins, and a home folder of their own for every test run."""

import gc
import itertools
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import hypothesis
import pytest
from filelock import FileLock

from places import PLUGIN, ROOT

# Workers of a parallel test run would otherwise fight over the cores within each small product.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A machine with much else to do may take any time for an example.
hypothesis.settings.register_profile("vadbench", deadline=None)
hypothesis.settings.load_profile("vadbench")

LONGEST = (
    "tests/test_docs.py::test_the_commands_shown_do_what_they_say",
    "tests/testing/test_method_checks.py::test_the_methods_that_come_with_vadbench_pass_on_synthetic",
    "tests/test_tutorial.py",
    "tests/cli/score/test_cli_score.py::test_most_planted_anomalies_are_events_of_a_trained_run",
    "tests/test_speed_benchmarks.py",
    "tests/cli/bench/test_cli_bench_killed.py",
    "tests/testing/test_method_checks.py",
)
"""What takes minutes, the longest first: begun before all else, so that no worker is left alone with it at the end."""
TEST_DATA = Path(os.environ.get("VADBENCH_TEST_DATA", ROOT.parent / "shared" / "data"))


def pytest_collection_modifyitems(items):
    def rank(item):
        return next((i for i, begin in enumerate(LONGEST) if item.nodeid.startswith(begin)), len(LONGEST))

    items.sort(key=rank)


def pytest_collection_finish():
    """Keep what lives to the end out of the collection of garbage, which would walk over it again and again."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure():
    gc.unfreeze()


@pytest.fixture
def no_collections():
    """Keep the collection of garbage out of what is timed: it takes longer the more other tests have imported."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(scope="session")
def test_data() -> Path:
    """Real clips and annotations that are not part of the repository."""
    if not TEST_DATA.is_dir():
        pytest.skip(f"no real data at {TEST_DATA}; set VADBENCH_TEST_DATA to its folder")
    return TEST_DATA


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """A folder that all workers of a parallel run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture
def real_ray(shared_folder):
    """Ray, for one test at a time: any process that looks for a cluster finds another's on the same machine."""
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    with FileLock(shared_folder / "ray.lock"):
        yield


@pytest.fixture(scope="session")
def synthetic_cache(shared_folder):
    """A cache that the first user fills with ``synthetic`` and its features: making them takes a minute or two."""
    return shared_folder / "cache-of-synthetic"


@pytest.fixture(scope="session")
def made_once(shared_folder):
    """Give the folder of that name, filled by the first worker that asks for it; the others wait."""

    def call(name, fill):
        folder, done = shared_folder / name, shared_folder / f"{name}.done"
        with FileLock(shared_folder / f"{name}.lock"):
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                done.touch()
        return folder

    return call


@pytest.fixture(scope="session")
def tracking_address(tmp_path_factory):
    """One store for all tests: making a fresh database takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture(scope="session")
def homes(tmp_path_factory):
    """Paths of folders to be made: ``mktemp`` lists all that are there to number one more, thousands in the end."""
    folder = tmp_path_factory.mktemp("homes")
    return (folder / str(number) for number in itertools.count())


@pytest.fixture(autouse=True)
def away_from_home(monkeypatch, homes, tracking_address):
    """Nothing a test does may touch the user's cache, config or tracking store, or depend on them."""
    home = next(homes)
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("VADBENCH_CACHE", str(home / "cache"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_address)
    for name in [n for n in os.environ if n.startswith("VADBENCH_SET__") or n == "VADBENCH_DATA"]:
        monkeypatch.delenv(name)


@pytest.fixture
def vadbench(capsys):
    """Run a command in this process and return what it printed; it must end with ``status``, where that is one."""
    from command_line import Printed, status_of

    def call(*arguments, status=0):
        capsys.readouterr()
        found = status_of(*arguments)
        printed = Printed(*capsys.readouterr())
        assert status in (None, found), printed.err + printed.out
        return printed

    return call


@pytest.fixture(scope="session")
def tiny_cache(made_once, tmp_path_factory):
    """The cache after runs on ``tiny``: its videos, and their rows for every and every second frame under two CLIPs."""
    return shutil.copytree(made_once("tiny", _fill_tiny) / "cache", tmp_path_factory.mktemp("tiny") / "cache")


def _fill_tiny(folder):
    from vadbench.harness.experiment import open_experiment
    from vadbench.harness.request import Request
    from vadbench.plugins.registry import Registry

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder))
        patch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        patch.setenv("VADBENCH_CACHE", str(folder / "cache"))
        for weights in (None, "random:0"):
            for stride in (1, 2):
                request = Request(
                    "random", "tiny", (f"rows.stride={stride}",), clip_model="small", clip_weights=weights,
                    device="cpu", out=folder / "runs",
                )  # fmt: skip
                open_experiment(request, Registry(files=[PLUGIN]))


@pytest.fixture(scope="session")
def prepare(tiny_cache, tracking_address):
    """Run a command that must succeed, in a fixture that outlives a test: on that cache unless told otherwise."""
    from command_line import succeed

    def call(*arguments, **environment):
        with pytest.MonkeyPatch.context() as patch:
            there = {"VADBENCH_CACHE": tiny_cache, "MLFLOW_TRACKING_URI": tracking_address} | environment
            for name, value in there.items():
                patch.setenv(name, str(value))
            succeed(*arguments)

    return call


@pytest.fixture
def tiny_at_hand(away_from_home, tiny_cache):
    """A copy of that cache for one test: rendering and encoding are most of a run's time."""
    shutil.copytree(tiny_cache, os.environ["VADBENCH_CACHE"])


@pytest.fixture
def quick_runs(monkeypatch):
    """Runs without what takes longer than they: no picture is painted, and nothing is logged to MLflow.

    Pictures are laid out from a run's figures all the same.
    """
    monkeypatch.setattr("vadbench.records.plots.Figure.savefig", lambda self, path, **_: Path(path).touch())
    monkeypatch.setenv("VADBENCH_MLFLOW", "off")


@pytest.fixture
def mlflow_on(quick_runs, monkeypatch):
    """Quick runs that are logged."""
    monkeypatch.delenv("VADBENCH_MLFLOW")


@pytest.fixture
def held_by_another_process():
    """A context in which another process holds a folder's lock."""
    code = """
import sys, time
from pathlib import Path
from vadbench.base.files import locked
with locked(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(600)
"""

    @contextmanager
    def hold(folder):
        process = subprocess.Popen([sys.executable, "-c", code, folder], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout.readline().strip() == "held"
            yield
        finally:
            process.kill()
            process.communicate()

    return hold
