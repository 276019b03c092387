"""The synthetic data set: deterministic, resumable, and true to its annotation."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from vadbench_synthetic import render
from vadbench_synthetic.captions import PHRASES, UNTAUGHT, attributes
from vadbench_synthetic.dataset import SEEDS, Synthetic
from vadbench_synthetic.events import DISTRACTORS, EVENTS
from vadbench_synthetic.script import NORMAL, cameras, write

from vadbench.base.errors import ConfigError, DataError, UnknownNameError
from vadbench.data.media import declared_frames, read_frames

SMALL = {"train": 6, "test": 5, "frames": (100, 130)}


def digests(folder: Path) -> dict[str, str]:
    """The hash of every file that a data set has made, by its path under the folder."""
    files = [p for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".")]
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Synthetic:
    data = Synthetic(tmp_path_factory.mktemp("synthetic"), **SMALL)
    data.prepare()
    return data


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(made: Synthetic, tmp_path: Path) -> None:
    again = Synthetic(tmp_path / "again", **SMALL)
    again.prepare()
    other = Synthetic(tmp_path / "other", seed=1, **SMALL)
    other.prepare()
    assert digests(again.folder) == digests(made.folder)
    assert not set(digests(other.folder).values()) & set(digests(made.folder).values())


def test_progress_counts_every_video_once_and_a_second_call_does_nothing(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    data = Synthetic(tmp_path, **SMALL)
    data.prepare(lambda *report: seen.append(report))
    assert seen == [("rendering videos", k, 11) for k in range(1, 12)]
    data.prepare(lambda *report: seen.append(report))
    assert len(seen) == 11


def test_decoded_frames_are_as_many_as_stated(made: Synthetic) -> None:
    for split in made.splits:
        for video in made.videos(split):
            assert video.path is not None
            decoded = list(read_frames(video.path))
            assert len(decoded) == video.frames == declared_frames(video.path)
            assert {frame.shape for frame in decoded} == {(64, 64, 3)}


def test_manifest_tells_what_videos_tells(made: Synthetic) -> None:
    manifest = json.loads((made.folder / "manifest.json").read_text())
    for record, video in zip(manifest["videos"], [*made.videos("train"), *made.videos("test")], strict=True):
        assert made.folder / record["file"] == video.path
        assert (record["name"], record["frames"], tuple(record["labels"])) == (video.name, video.frames, video.labels)
        assert record["segments"] == [[s.label, s.start, s.end] for s in video.segments]


def test_splits_of_the_default_size(tmp_path: Path) -> None:
    data = Synthetic(tmp_path)
    train, test = data.videos("train"), data.videos("test")
    assert (len(train), len(test)) == (data.expected["train"], data.expected["test"]) == (120, 40)
    assert sum(not data.is_normal(v) for v in train) == 60
    assert sum(not data.is_normal(v) for v in test) == 24
    assert len({v.name for v in [*train, *test]}) == 160
    for videos, each in ((train, 10), (test, 4)):
        labels = [label for v in videos if not data.is_normal(v) for label in v.labels]
        assert {kind: labels.count(kind) for kind in EVENTS} == dict.fromkeys(EVENTS, each)
        assert all(200 <= (v.frames or 0) <= 400 for v in videos)
    assert not any(v.segments for v in train)
    assert {len(v.segments) for v in test} == {0, 1, 2}
    assert not list(tmp_path.iterdir())


def test_segments_lie_inside_their_video_and_carry_its_label(tmp_path: Path) -> None:
    data = Synthetic(tmp_path, seed=3)
    for video in data.videos("test"):
        assert bool(video.segments) != data.is_normal(video)
        assert all(s.label in video.labels and s.end <= (video.frames or 0) for s in video.segments)
        assert all(a.end <= b.start for a, b in zip(video.segments, video.segments[1:], strict=False))
        script = data.scripts("test")[video.name]
        kinds = [script.seen(frame)[0] for frame in range(script.frames)]
        assert script.frames - kinds.count(NORMAL) == sum(s.end - s.start for s in video.segments)


def test_class_ids_follow_sorted_names() -> None:
    table = Synthetic.classes
    assert list(table.names) == sorted([*EVENTS, NORMAL])
    assert table.names[table.normal] == NORMAL
    assert table.id("Fire") == table.names.index("Fire")
    with pytest.raises(UnknownNameError):
        table.id("Fir")


@pytest.mark.parametrize("after", [1, 7])
def test_a_kill_while_rendering_loses_nothing(made: Synthetic, tmp_path: Path, after: int) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from vadbench_synthetic.dataset import Synthetic\n"
        f"def kill(stage, done, total): done < {after} or os.kill(os.getpid(), signal.SIGKILL)\n"
        f"Synthetic(Path(sys.argv[1]), **{SMALL!r}).prepare(kill)"
    )
    child = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False)
    assert child.returncode == -signal.SIGKILL
    data = Synthetic(tmp_path, **SMALL)
    assert after <= len(digests(data.folder)) <= 11
    assert not (data.folder / "manifest.json").exists()
    (data.folder / "train" / ".train_005.1.mp4").write_bytes(b"left by an earlier kill")
    data.prepare()
    assert digests(data.folder) == digests(made.folder)
    assert not list(data.folder.rglob(".*.mp4"))


def test_a_deleted_video_is_rendered_again(tmp_path: Path) -> None:
    data = Synthetic(tmp_path, train=2, test=1, frames=(100, 100))
    data.prepare()
    before = digests(data.folder)
    (data.folder / "test" / "test_000.mp4").unlink()
    data.prepare()
    assert digests(data.folder) == before


@pytest.mark.parametrize("kind", EVENTS)
def test_an_event_shows_inside_its_segment(kind: str) -> None:
    for i in range(4):
        script = write(kind, (11, i), cameras(11), (200, 300))
        changed = []
        for event in script.events:
            times = np.arange(event.start, event.end)
            with_event = render.paint(script, times).astype(int)
            without = render.paint(script.without_events(), times).astype(int)
            changed += list((np.abs(with_event - without).max((1, 2, 3)) > 24).tolist())
        # Who crosses the picture is outside it for a moment at either end of each crossing.
        assert np.mean(changed) > 0.75


@pytest.mark.parametrize("kind", EVENTS)
def test_normal_frames_come_before_and_after_every_event(kind: str) -> None:
    for i in range(20):
        script = write(kind, (12, i), cameras(12), (100, 400))
        assert 1 <= len(script.events) <= 2
        assert script.events[0].start >= 10 and script.events[-1].end <= script.frames - 9


def test_a_frame_does_not_depend_on_what_is_painted_with_it() -> None:
    script = write("Explosion", (13, 0), cameras(13), (120, 140))
    whole = np.stack(list(render.frames(script)))
    times = np.array([0, 17, 99, 100, script.frames - 1])
    np.testing.assert_array_equal(render.paint(script, times), whole[times])


def test_look_alikes_appear_as_often_without_an_event_as_with_one(tmp_path: Path) -> None:
    data = Synthetic(tmp_path, train=600)
    counts = {True: 0, False: 0}
    seen: set[str] = set()
    for script in data.scripts("train").values():
        counts[bool(script.events)] += len(script.distractors)
        seen |= {name for name, _, _ in script.distractors}
    assert seen == {builder.__name__ for builders in DISTRACTORS.values() for builder in builders}
    assert abs(counts[True] - counts[False]) < 0.15 * counts[False]


def test_captions_name_neither_untaught_kinds_nor_distractors() -> None:
    phrases = " ".join(p for values in PHRASES.values() for ways in values.values() for p in ways)
    hidden = ["cycl", "fight", "hug", "bench", "dog", "pram", "flare", "headlight", "window", "autumn", "park"]
    assert not [word for word in hidden if word in phrases]
    assert set(PHRASES["event"]) == set(Synthetic.classes.names) - set(UNTAUGHT)
    for kind in EVENTS:
        script = write(kind, (14, 0), cameras(14), (150, 150), max_distractors=0)
        event = script.events[0]
        assert attributes(script, event.start)["event"] == UNTAUGHT.get(kind, kind)
        assert attributes(script, event.start - 1)["event"] == NORMAL


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"seed": SEEDS}, {"frames": (50, 200)}, {"frames": (300, 200)}])
def test_settings_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="synthetic"):
        Synthetic(tmp_path, **wrong)


def test_registration_imports_nothing_heavy() -> None:
    program = (
        "import sys, vadbench_synthetic as plugin; (spec,) = plugin.vadbench_datasets();"
        "assert spec.name == 'synthetic';"
        "sys.exit(any(m in sys.modules for m in ('numpy', 'torch', 'av')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_folder_of_other_files_is_not_filled_with_videos(tmp_path):
    (tmp_path / "holiday.mp4").touch()
    with pytest.raises(DataError, match=r"would render 3 videos into .* holds other files, such as holiday\.mp4"):
        Synthetic(tmp_path, train=2, test=1).prepare()
    assert [p.name for p in tmp_path.iterdir()] == ["holiday.mp4"]
    (tmp_path / "v1-seed5-2+1x100-100").mkdir()
    Synthetic(tmp_path, train=2, test=1, frames=(100, 100)).prepare()
    assert len(list(tmp_path.rglob("*_*.mp4"))) == 3
