"""``vadbench score`` as a user types it: real files, the harness's own scores as the reference."""

import csv
import json
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from places import PLUGIN, ROOT
from scored import TINY, column, table, tiny_video
from vadbench.records.scores import load_split
from watch_media import encode, noise, numbered, sound, turn


@pytest.mark.parametrize(
    "settings",
    [(), ("rows.stride=4",), ("rows.stride=4", "rows.pooling=first"), ("rows.stride=7", "rows.pooling=middle")],
)
def test_scores_are_those_of_the_harness(trained, score, home, settings):
    run = trained("linear", "tiny", *(f"--set={s}" for s in settings))
    videos = [tiny_video(home, f"test-{i}") for i in range(6)]
    found, _ = score(*videos, "--run", run)
    split = load_split(run)
    for summary, expected in zip(found, split.scores, strict=True):
        assert Path(summary["folder"]).name == expected.name
        assert summary["frames"] == expected.frames == 30
        assert column(summary["folder"]) == pytest.approx(expected.anomaly, abs=1e-6)
        assert column(summary["folder"], "p(Square)") == pytest.approx(expected.classes[:, 1], abs=1e-6)
        rows = table(summary["folder"])
        assert [int(r["frame"]) for r in rows] == [i * split.stride for i in range(len(rows))]
        assert [float(r["time"]) for r in rows] == pytest.approx([i * split.stride / 10 for i in range(len(rows))])


@pytest.mark.parametrize(
    ("asked", "written"),
    [
        ((), {"scores.csv", "scores.json"}),
        (("--format", "csv"), {"scores.csv"}),
        (("--format", "parquet"), {"scores.csv", "scores.parquet"}),
    ],
)
def test_scores_are_written_in_the_forms_that_the_documentation_names(trained, score, home, tmp_path, asked, written):
    score(tiny_video(home, "test-0"), "--run", trained(), *asked)
    assert {p.name for p in (tmp_path / "scored" / "test-0").glob("scores.*")} == written
    told = (ROOT / "docs" / "own-videos.md").read_text(encoding="utf-8")
    assert (
        "The csv is always written; `--format parquet` writes `scores.parquet` beside it in place of the json" in told
    )


def test_the_folder_of_a_video(trained, score, home, tmp_path):
    found, _ = score(tiny_video(home, "test-0"), "--run", trained(), "--format", "json", "--threshold", "0")
    folder = tmp_path / "scored" / "test-0"
    names = {"scores.csv", "scores.json", "events.csv", "events.json", "curve.png", "index.html", "summary.json"}
    assert {p.name for p in folder.iterdir()} == names
    (event,) = json.loads((folder / "events.json").read_text())
    assert (event["start"], event["end"], event["first_frame"], event["end_frame"]) == (0, 3.0, 0, 30)
    assert event["class"] == "Square" and event["peak"] == pytest.approx(column(folder).max())
    assert event["mean"] == pytest.approx(column(folder).mean(), abs=1e-6)
    assert found == [json.loads((folder / "summary.json").read_text())]
    assert found[0]["seconds_per_video_second"] > 0
    page = (folder / "index.html").read_text()
    assert page.count("data:image/") == 2 and "Square" in page


def best_overlap(summary, segment):
    """Intersection over union of the event that fits a segment best, and its class."""
    found = [(0.0, "")]
    for event in summary["events"]:
        both = min(event["end_frame"], segment.end) - max(event["first_frame"], segment.start)
        either = max(event["end_frame"], segment.end) - min(event["first_frame"], segment.start)
        found.append((both / either, event["class"]))
    return max(found)


def test_a_planted_anomaly_is_an_event(score, tmp_path):
    from vadbench_synthetic.dataset import Synthetic
    from vadbench_synthetic.render import film

    dataset = Synthetic(tmp_path)
    film(dataset.scripts("test")["test_010"], tmp_path / "test_010.mp4")
    (found,), _ = score(tmp_path / "test_010.mp4", "-m", "zero-shot", "-d", "synthetic")
    (segment,) = next(v for v in dataset.videos("test") if v.name == "test_010").segments
    overlap, label = best_overlap(found, segment)
    assert overlap >= 0.5 and label == segment.label


@pytest.mark.slow
def test_most_planted_anomalies_are_events_of_a_trained_run(trained, score, synthetic_cache):
    run = trained("clip-linear", "synthetic")
    truth = {v.name: v.segments for v in load_split(run).videos}
    (folder,) = synthetic_cache.glob("datasets/synthetic/*/test")
    found, _ = score(folder, "--run", run)
    overlaps = [best_overlap(s, segment)[0] for s in found for segment in truth[Path(s["folder"]).name]]
    print(f"IoU of at least 0.5: {sum(o >= 0.5 for o in overlaps)} of {len(overlaps)}")
    assert len(overlaps) == 30 and sum(o >= 0.5 for o in overlaps) >= 20


def test_what_a_person_reads(trained, home, vadbench, tmp_path):
    found = vadbench(
        "score", *TINY, tiny_video(home, "test-0"), "--run", trained(), "--out", tmp_path, "--threshold", 0
    )
    assert "linear trained on tiny, seed 0, run" in found.out and "threshold 0 (given)" in found.out
    assert "s for each second of video (waiting for frames" in found.out
    assert "0:00.0   0:03.0" in found.out and "Square" in found.out
    assert "untrained CLIP" in found.err


def test_where_no_row_reaches_the_threshold_the_highest_score_is_said(trained, home, vadbench, tmp_path):
    asked = ("score", *TINY, tiny_video(home, "test-0"), "--run", trained(), "--out", tmp_path, "--threshold", 1)
    said = [line for line in vadbench(*asked).out.splitlines() if line.startswith("No row reaches")]
    with (next(tmp_path.rglob("scores.csv"))).open() as file:
        highest = max(float(row["score"]) for row in csv.DictReader(file))
    assert said == [f"No row reaches the threshold 1: highest {highest:.4g}; --threshold lowers it."]


@pytest.mark.parametrize("count", [1, 2, 15, 16, 17])
@pytest.mark.parametrize("method", ["linear", "anomalyclip", "vadclip", "mil"])
def test_short_videos(trained, score, tmp_path, count, method):
    more = () if method == "linear" else ("--set=recipe.epochs=1", "--set=recipe.batch_size=4")
    path = encode(tmp_path / "short.mp4", numbered(count))
    (found,), _ = score(path, "--run", trained(method, "tiny", *more))
    stride = {"linear": 1, "anomalyclip": 1, "vadclip": 16, "mil": 16}[method]
    assert (found["frames"], found["rows"], found["error"]) == (count, -(-count // stride), None)


def test_real_clips(trained, score, test_data):
    clips = sorted((test_data / "videos").glob("*.mp4"))
    found, _ = score(test_data / "videos", "--run", trained())
    assert [s["source"] for s in found] == [str(c) for c in clips]
    for summary, clip in zip(found, clips, strict=True):
        with av.open(str(clip)) as container:
            assert summary["frames"] == container.streams.video[0].frames == len(table(summary["folder"]))
            assert summary["duration"] == pytest.approx(container.duration / av.time_base, abs=0.2)


def test_a_run_without_an_epoch_scores_as_its_words_do_without_a_run(trained, score, tmp_path):
    path = encode(tmp_path / "a.mkv", noise(40))
    settings = ("--set", "rows.stride=4", "--set", "descriptions=general")
    run = trained("descriptions-frame", "tiny", "--set", "recipe.epochs=0", *settings)
    (found,), err = score(path, "--run", run)
    assert "of the video itself" in found["threshold_origin"] and "has no threshold" not in err + str(found["notes"])
    words = ("-m", "descriptions-frame", "-d", "tiny", "--clip", "small", "--clip-weights", "random:0")
    (words,), _ = score(path, *words, *settings, out=tmp_path / "words")
    assert column(found["folder"]) == pytest.approx(column(words["folder"]), abs=1e-6)


def test_a_variable_rate_and_a_turned_phone(trained, score, tmp_path):
    times = [0, 40, 80, 500, 540, 2000]
    slow = encode(tmp_path / "vfr.mkv", numbered(6), milliseconds=times)
    phone = encode(tmp_path / "phone.mp4", noise(6))
    turn(phone, 90)
    upright = tmp_path / "upright"
    upright.mkdir()
    from PIL import Image

    from vadbench.data.media import read_frames

    for i, frame in enumerate(read_frames(phone)):
        Image.fromarray(np.rot90(frame, -1)).save(upright / f"{i}.png")
    found, _ = score(slow, phone, upright, "--run", trained())
    assert [float(r["time"]) for r in table(found[0]["folder"])] == pytest.approx([t / 1000 for t in times], abs=2e-3)
    assert column(found[1]["folder"]) == pytest.approx(column(found[2]["folder"]), abs=1e-6)


def test_a_damaged_video_is_named_and_the_others_are_scored(trained, score, tmp_path):
    good = encode(tmp_path / "good.mp4", noise(30))
    text = tmp_path / "text.mp4"
    text.write_text("hello\n" * 500)
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(good.read_bytes()[:-2000])
    corrupt = encode(tmp_path / "corrupt.mkv", noise(60))
    content = bytearray(corrupt.read_bytes())
    content[len(content) // 2 : len(content) * 3 // 4] = bytes(len(content) * 3 // 4 - len(content) // 2)
    corrupt.write_bytes(content)
    short = encode(tmp_path / "short.mkv", noise(60))
    short.write_bytes(short.read_bytes()[: short.stat().st_size // 2])
    paths = [text, cut, sound(tmp_path / "sound.mp4"), corrupt, short, good]
    found, err = score(*paths, "--run", trained(), status=1)
    errors = {Path(s["source"]).name: s["error"] for s in found}
    for name in ("text.mp4", "cut.mp4", "sound.mp4", "corrupt.mkv", "short.mkv"):
        assert name in errors[name] and errors[name] in err
    assert errors["good.mp4"] is None and len(table(found[5]["folder"])) == 30
    assert f"damaged at frame {found[3]['rows']}" in errors["corrupt.mkv"] and found[3]["rows"] > 10
    assert len(table(found[3]["folder"])) == found[3]["rows"]
    assert "Traceback" not in err and "5 of 6 videos were not scored to their end" in err
    # Nothing is left of what could not be read at all.
    kept = {"text.mp4": False, "cut.mp4": False, "sound.mp4": False, "corrupt.mkv": True, "short.mkv": True}
    assert {Path(s["source"]).name: s["folder"] is not None for s in found[:5]} == kept
    assert {p.name for p in (tmp_path / "scored").iterdir()} == {"corrupt", "short", "good"}
    # Cut between packets, a file of this kind decodes without complaint.
    rows = found[4]["rows"]
    assert rows == len(table(found[4]["folder"])) > 10
    assert f"damaged at frame {rows}, {rows / 25:.2f} s (" in errors["short.mkv"]


def test_equal_names_and_hostile_ones_stay_under_the_folder(trained, score, tmp_path):
    places = [tmp_path / "a" / "x.mp4", tmp_path / "b" / "x.mp4", tmp_path / "c" / "..<script>alert(1)$x^.mp4"]
    for place in places:
        place.parent.mkdir()
        encode(place, numbered(3))
    found, _ = score(*places, "--run", trained())
    folders = [Path(s["folder"]) for s in found]
    assert len(set(folders)) == 3 and {f.resolve().parent for f in folders} == {(tmp_path / "scored").resolve()}
    assert "<script>alert" not in (folders[2] / "index.html").read_text()


def test_words_alone_score_without_a_run(score, tmp_path):
    bank = tmp_path / "site.toml"
    bank.write_text('normal = ["an empty yard"]\nabnormal = ["a fence"]\n[classes]\nFire = ["flames"]\n')
    video = encode(tmp_path / "a.mp4", noise(20))
    own = ("--clip", "small", "--clip-weights", "random:0")
    found, _ = score(video, "-m", "descriptions-frame", "--descriptions", bank, "--set", "rows.stride=8", *own)
    assert "of the video itself" in found[0]["threshold_origin"]
    assert list(table(found[0]["folder"])[0]) == ["time", "frame", "score", "p(Normal)", "p(Fire)"]
    assert [int(r["frame"]) for r in table(found[0]["folder"])] == [0, 8, 16]
    bank.write_text('normal = ["an empty yard"]\nabnormal = ["a fence"]\n')
    found, _ = score(video, "-m", "descriptions-frame", "--descriptions", bank, *own)
    assert list(table(found[0]["folder"])[0]) == ["time", "frame", "score"]
    found, _ = score(video, "-m", "zero-shot", "--dataset", "ucfcrime", *own)
    assert "p(Shoplifting)" in table(found[0]["folder"])[0]


def test_an_annotated_video_is_written(trained, score, home, tmp_path):
    score(tiny_video(home, "test-0"), "--run", trained(), "--annotate", tmp_path / "shown.mp4")
    with av.open(str(tmp_path / "shown.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 30 and [f.time for f in frames] == pytest.approx([i / 10 for i in range(30)], abs=1e-3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{video}"], "score needs --run"),
        (["", "--run", "{run}"], "expected the name of a video, found an empty one"),
        (["{text}", "--run", "{run}"], "site.toml: not a readable video"),
        (["{text}", "{text}", "--run", "{run}"], "none of 2 videos can be read: "),
        (["{video}", "--run", "{run}", "--calibrate", "gone.mp4"], "no such video: gone.mp4"),
        (["{video}", "--run", "{run}", "--calibrate", "http://127.0.0.1:9/a"], "--calibrate reads files"),
        (["{video}", "--run", "{run}", "-m", "zero-shot"], "and zero-shot); leave one out"),
        (["{video}", "--run", "{run}", "--set", "a=1"], "the run's own settings; leave out --set\n"),
        (["{video}", "--run", "{run}", "-d", "tiny", "--post", "none"], "leave out --dataset and --post\n"),
        (["{video}", "--run", "{run}", "--clip", "ViT-B-16"], "which it brings along: leave out --clip ViT-B-16;"),
        (["{video}", "--run", "{run}", "--clip", "ViT-B-61"], "did you mean 'ViT-B-16'"),
        (["{video}", "--run", "nowhere"], "no single run called 'nowhere'"),
        (["{video}", "gone.mp4", "--run", "{run}"], "no such video: gone.mp4"),
        (["{video}", "-m", "mil", "-d", "synthetic"], "'mil' must be trained first"),
        (["{video}", "-m", "zero-shot"], "name a data set that has them with --dataset"),
        (["{video}", "-m", "zero-shot", "--descriptions", "a.toml"], "reads no descriptions"),
        (["{video}", "-m", "zero-shto", "-d", "synthetic"], "did you mean 'zero-shot'"),
        (["{video}", "--run", "{run}", "--threshold", "nan"], "must be a number"),
        (["{video}", "--run", "{run}", "--threshold-end", "0.4"], "give --threshold as well"),
        (["{video}", "--run", "{run}", "--threshold", "0.4", "--threshold-end", "0.5"], "at most --threshold 0.4"),
        (["{video}", "--run", "{run}", "--threshold", "1", "--threshold-end", "nan"], "--threshold-end must be a num"),
        (["{video}", "{video}", "--run", "{run}", "--annotate", "a.mp4"], "found 2 videos"),
        (["http://127.0.0.1:9/a", "--run", "{run}", "--annotate", "a.mp4"], "found a stream"),
        (["{video}", "--run", "{run}", "--annotate", "a.gif"], "found '.gif'"),
        (["{video}", "--run", "{run}", "--annotate", "{video}"], "would write over the video itself"),
        (["{frames}", "--run", "{run}", "--follow"], "is a folder of frames"),
        (
            ["{video}", "--run", "{run}", "--clip", "small", "--clip-weights", "random:1"],
            "used the CLIP small random:0",
        ),
        ([], "Missing argument"),
    ],
)
def test_a_wrong_question_is_answered_in_one_line(trained, vadbench, home, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    run = trained()
    from PIL import Image

    frames = tmp_path / "frames"
    frames.mkdir()
    Image.new("RGB", (64, 48)).save(frames / "1.png")
    text = tmp_path / "site.toml"
    text.write_text('normal = ["a street"]\n')
    filled = [a.format(video=tiny_video(home, "test-0"), run=run, frames=frames, text=text) for a in arguments]
    found = vadbench("score", *TINY, "--out", tmp_path / "out", *filled, status=2)
    assert said in found.err and "Traceback" not in found.err and not found.out
    assert not (tmp_path / "out").exists()


def test_memory_that_is_short_is_one_line_that_names_the_processor(trained, vadbench, home, tmp_path, monkeypatch):
    from failing_devices_plugin import FULL

    def full(clip, images, arithmetic):
        raise torch.OutOfMemoryError(FULL)

    run = trained("linear", "tiny")
    monkeypatch.setattr("vadbench.clip.Clip.encode_images", full)
    call = ("score", tiny_video(home, "test-0"), "--run", run, "--out", tmp_path / "scored", "--device", "cpu")
    found = vadbench(*call, "--plugin", PLUGIN, status=2)
    (line,) = [text for text in found.err.splitlines() if not text.startswith("note:")]
    assert line.startswith("vadbench: the GPU's memory does not suffice (tried to allocate 2.50 GiB, ")
    assert line.endswith("; score on the CPU with --device cpu, or end what else uses the memory")
