"""Cells of a benchmark: how they are run, and advice that can be followed."""

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cells import FILE, TEXTS, cell
from places import PLUGIN, ROOT
from vadbench.base.config import resolve
from vadbench.base.errors import StorageError
from vadbench.base.method_config import MethodConfig
from vadbench.base.types import silent
from vadbench.benchmarks.availability import in_words_of_bench
from vadbench.benchmarks.engines import LostTask
from vadbench.benchmarks.engines.local import LocalEngine
from vadbench.benchmarks.grid import CellOutcome, CellTask, run_cells
from vadbench.benchmarks.parser import assignments, open_benchmark, protocol_changes
from vadbench.benchmarks.site import Site
from vadbench.benchmarks.state import CellState, look, with_trainings
from vadbench.plugins.hookspecs import MethodSpec
from vadbench.plugins.registry import Plugin, Registry


@given(st.dictionaries(st.sampled_from(["a", "b.c"]), st.integers() | st.floats(-9, 9) | TEXTS))
def test_settings_arrive_as_they_stand_in_the_file(settings):
    class Inner(MethodConfig):
        c: object = None

    class Config(MethodConfig):
        a: object = None
        b: Inner = Inner()

    found = resolve(Config, {}, environment={}, assignments=assignments(settings.items()))
    assert (found.a, found.b.c) == (settings.get("a"), settings.get("b.c"))
    assert type(found.a) is type(settings.get("a"))


def test_the_protocols_settings_go_to_the_protocol():
    settings = [("protocol.crop", "mean"), ("width", 3), ("protocol.subset", "all")]
    assert protocol_changes(settings) == {"crop": "mean", "subset": "all"}
    assert assignments(settings) == ["width=3"]


def test_trainings_come_first_and_once():
    here, there = cell(), cell(dataset="other")
    assert with_trainings([there, here]) == [here, there]
    assert with_trainings([here]) == [here]


def test_a_method_whose_code_cannot_be_imported_is_impossible_here(tmp_path, write):
    registry = Registry(files=[PLUGIN])
    registry.plugins.append(Plugin("p", "p", "p", specs={"method": [MethodSpec("torn", "", "no_such_module:Torn")]}))
    benchmark = open_benchmark(write(FILE.replace('"random"', '"torn"')), registry, check_settings=True)
    torn = [c for c in benchmark.cells() if c.method == "torn"]
    assert torn
    for state in look(torn, Site(tmp_path), registry, []):
        assert state.state == "impossible" and "no_such_module" in state.reason


class Script:
    """An engine that answers as it is told to, in turn."""

    def __init__(self, *answers):
        self.answers, self.tasks = list(answers), []

    def run_all(self, groups, work, started, ended):
        for task in (t for group in groups for t in group):
            self.tasks.append(task)
            ended(task, self.answers.pop(0))


class Watch:
    def __init__(self):
        self.states = []

    def started(self, cell):
        pass

    def ended(self, state):
        self.states.append(state)


def test_seeds_of_one_experiment_are_one_group_and_finished_cells_are_left_alone():
    groups = []

    class Engine:
        def run_all(self, given, work, started, ended):
            groups.extend(given)
            for task in (t for group in given for t in group):
                ended(task, CellOutcome("failed", reason="no"))

    cells = [cell(), cell(method="zero-shot"), cell(seed=1), cell(seed=2)]
    states = [*(CellState(c, "to do") for c in cells), CellState(cell(seed=3), "impossible", "why")]
    after = run_cells(states, Site(Path("x")), Engine(), Watch(), silent)
    assert groups == [
        [CellTask(cell()), CellTask(cell(seed=1)), CellTask(cell(seed=2))],
        [CellTask(cell(method="zero-shot"))],
    ]
    assert [s.state for s in after] == ["failed"] * 4 + ["impossible"]
    assert [s.cell for s in after] == [s.cell for s in states]


def test_a_busy_cell_is_tried_again_at_the_end_and_waited_for(record):
    engine, watch = (
        Script(CellOutcome("busy"), LostTask("dead"), CellOutcome("done", record("a"), reused=True)),
        Watch(),
    )
    after = run_cells(
        [CellState(cell(), "to do"), CellState(cell(seed=1), "to do")], Site(Path("x")), engine, watch, silent
    )
    assert engine.tasks == [CellTask(cell()), CellTask(cell(seed=1)), CellTask(cell(), wait=True)]
    assert [(s.state, s.reason) for s in after] == [("done", ""), ("failed", "dead")]
    assert [s.cell.seed for s in watch.states] == [1, 0]


def test_cells_that_are_lost_with_their_engine_are_still_to_do(record):
    gone, watch = LostTask("the cluster no longer answers", engine=True), Watch()
    engine = Script(CellOutcome("done", record("a"), reused=True), gone, gone)
    cells = [cell(), cell(seed=1), cell(seed=2), cell(dataset="other", seed=1)]
    after = run_cells([CellState(c, "to do") for c in cells], Site(Path("x")), engine, watch, silent)
    assert [(s.state, s.reason) for s in after] == [
        ("done", ""),
        *[("to do", "the cluster no longer answers")] * 2,
        ("to do", "not trained on tiny: the cluster no longer answers"),
    ]
    # Not a line for each of what may be hundreds.
    assert [s.cell for s in watch.states] == [cells[0], cells[3]]


def test_a_full_disk_ends_everything():
    engine = Script(CellOutcome("storage", reason="cannot write x: the disk is full"))
    with pytest.raises(StorageError, match="the disk is full"):
        run_cells(
            [CellState(cell(), "to do"), CellState(cell(seed=1), "to do")], Site(Path("x")), engine, Watch(), silent
        )
    assert len(engine.tasks) == 1


def test_consecutive_seeds_share_an_opened_experiment(tmp_path, monkeypatch):
    import vadbench.harness.experiment

    opened = []
    original = vadbench.harness.experiment.open_experiment
    monkeypatch.setattr(
        vadbench.harness.experiment, "open_experiment", lambda *a, **k: opened.append(a[0]) or original(*a, **k)
    )
    small = (("recipe.epochs", 1),)
    cells = [cell(settings=small, seed=s) for s in (0, 1, 2)]
    site = Site(tmp_path / "runs", "cpu", plugins=(PLUGIN,))
    after = run_cells([CellState(c, "to do") for c in cells], site, LocalEngine(1), Watch(), silent)
    assert [s.state for s in after] == ["done"] * 3, after
    assert len(opened) == 1


OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
UNREACHED = {
    "vadbench/harness/request.py": {
        "both give descriptions; leave one out",  # neither command has --descriptions
        "run needs --method and --dataset",  # a cell has both
        "reads no descriptions; leave --descriptions",  # a setting, in a benchmark
        "--from names a run of",  # an evaluation names no method
        "--from evaluates a finished training",  # nor any of these
    },
    "vadbench/records/run_names.py": {"run vadbench run --from"},  # neither names an evaluation
    "vadbench/harness/experiment.py": {"--features-layout is the layout"},  # bench says so itself
    "vadbench/harness/given_features.py": {
        "is of the first stream, whose layout",  # bench has no --spacing
        "reads no features with these settings",  # bench gives none to a method that reads none
    },
    "vadbench/harness/import_checkpoint.py": {"name with --dataset the one that"},  # import-checkpoint alone says so
    "vadbench/training/workers.py": {"train with --workers 0"},  # which run alone has
    "vadbench/training/worker_process.py": {"train with --workers 0"},
    "vadbench/harness/streams.py": {"contradicts X, whose rows"},
    "vadbench/harness/fitness.py": {
        "evaluate that training here (--from RUN)",  # a column's "train"
    },
    "vadbench/features/detector.py": {"name a file of your own with --detector-weights"},  # vadbench extract makes
    "vadbench/data/reference_frames.py": {"extract without --skip"},  # which vadbench extract alone has
    "vadbench/features/encoders.py": {"leave --skip out, or choose with --pooling"},
    "vadbench/features/decoding_process.py": {"fewer --jobs, and run the same command again"},  # of vadbench extract
    "vadbench/features/region_encoder.py": {"choose one with --pooling"},  # features of regions
    "vadbench/plugins/registry.py": {"--plugin"},  # which bench has
    "vadbench/harness/run.py": {"--again runs it anew"},  # vadbench run alone says so
    "vadbench/plugins/provenance.py": {"--porcelain", "--plugin"},  # an option of git, and a name
    "vadbench/base/locations.py": {"--data-root"},  # what named a folder that bench looks for first
}


def advice():
    """Every text with an option in the modules that a run goes through, with the module's path."""
    commands_own = (
        "cli",
        "watch",
        "tables",
        "report",
        "scaffold",
        "engines",
        "inspect",
        "testing",
        "benchmarks",
        "tracking",
        "results",
    )
    others = ("environment.py", "extraction_request.py")
    # Recorded scores are imported by a command of their own.
    others += ("array_evaluation.py", "carried_truth.py", "import_scores.py", "recorded_rows.py")
    for path in sorted((ROOT / "vadbench").rglob("*.py")):
        place = path.relative_to(ROOT).as_posix()
        if not {*path.relative_to(ROOT).parts[1:-1]}.isdisjoint(commands_own) or path.name in others:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        # What an expression statement says is a docstring.
        said = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Expr)}
        parts = {id(v) for n in ast.walk(tree) if isinstance(n, ast.JoinedStr) for v in n.values}
        for node in ast.walk(tree):
            text = ""
            if isinstance(node, ast.JoinedStr):
                text = "".join(str(v.value) if isinstance(v, ast.Constant) else "X" for v in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said | parts:
                text = node.value
            known = UNREACHED.get(place, set())
            if OPTION.search(text) and text not in known and not any(part in text for part in known if " " in part):
                yield place, text


@pytest.mark.parametrize(("place", "text"), sorted(set(advice())))
@pytest.mark.parametrize("name", ["bench", "import-checkpoint"])
def test_advice_names_options_that_the_command_has(name, place, text):
    from vadbench.cli import cli

    there = {option for parameter in cli.commands[name].params for option in parameter.opts}
    said = in_words_of_bench(text, "tiny") if name == "bench" else text
    if name == "import-checkpoint":
        there.add("--selection")  # it asks for none, so that nobody has to leave it out
    assert set(OPTION.findall(said)) <= there, said
    if name == "bench":
        for option in ("--data-root", "--features", "--features-layout"):
            assert all(
                said[m.end() :].startswith((" tiny=", " tiny.")) for m in re.finditer(rf"{option}(?![\w-])", said)
            ), said
