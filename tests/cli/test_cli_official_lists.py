"""A method on a data set in its official form, videos and lists generated: from the command line to the counts."""

import numpy as np
import pytest

from vadbench.data.media import write_video

pytestmark = pytest.mark.usefixtures("quick_runs")


@pytest.fixture
def ucf(tmp_path):
    """Four training and three test videos in UCF-Crime's layout, 40 frames each."""
    root = tmp_path / "UCF"
    train = ["Abuse/Abuse001_x264.mp4", "Fighting/Fighting002_x264.mp4"]
    train += [f"Training_Normal_Videos_Anomaly/Normal_Videos{i:03d}_x264.mp4" for i in (1, 2)]
    test = ["Abuse/Abuse028_x264.mp4", "RoadAccidents/RoadAccidents001_x264.mp4"]
    test += ["Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4"]
    for number, name in enumerate(train + test):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number)
        write_video(root / name, (noise.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(40)), 10)
    (root / "Anomaly_Train.txt").write_text("\n".join(train) + "\n")
    (root / "Anomaly_Test.txt").write_text("\n".join(test) + "\n")
    (root / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt").write_text(
        "Abuse028_x264.mp4  Abuse  11  20  31  35\n"
        "RoadAccidents001_x264.mp4  RoadAccidents  30  41  -1  -1\n"
        "Normal_Videos_003_x264.mp4  Normal  -1  -1  -1  -1\n"
    )
    return root


@pytest.mark.parametrize("method", ["random", "zero-shot"])
def test_official_lists_and_videos_give_the_annotated_counts(ucf, tmp_path, vadbench, method):
    arguments = [
        "run",
        "-m",
        method,
        "-d",
        "ucfcrime",
        "--data-root",
        ucf,
        "--clip",
        "small",
        "--out",
        tmp_path / "runs",
    ]
    (record,) = vadbench(*arguments, "--set", "rows.stride=16", "--json").json
    test = record["data"]["test"]
    # 11-20 and 31-35 are 15 frames; 30-41 ends one frame past the video and counts 11.
    assert (test["videos"], test["frames"], test["positives"]) == (3, 120, 26)
    assert "incomplete: 4 of 1610 train videos" in record["notes"]
    assert "incomplete: 3 of 290 test videos" in record["notes"]
    assert "RoadAccidents001_x264: segment [29, 41) ends past its 40 frames; cut there" in record["notes"]
    per_class = {n for n, v in record["metrics"].items() if n.startswith("AUC[") and v["value"] is not None}
    assert per_class == {"AUC[Abuse]", "AUC[RoadAccidents]"}


def test_a_video_the_annotation_lacks_is_named(ucf, tmp_path, vadbench):
    path = ucf / "Temporal_Anomaly_Annotation_for_Testing_Videos.txt"
    path.write_text("\n".join(path.read_text().splitlines()[1:]))
    arguments = ["run", "-m", "random", "-d", "ucfcrime", "--data-root", ucf, "--out", tmp_path / "runs"]
    said = vadbench(*arguments, status=2).err
    assert "Abuse028_x264" in said and path.name in said
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").rglob("result.json"))


def test_missing_and_damaged_videos_stop_the_run_unless_allowed(ucf, tmp_path, vadbench):
    (ucf / "Fighting" / "Fighting002_x264.mp4").write_bytes(b"no video")
    (ucf / "Training_Normal_Videos_Anomaly" / "Normal_Videos001_x264.mp4").unlink()
    arguments = ["run", "-m", "random", "-d", "ucfcrime", "--data-root", ucf, "--clip", "small", "--out", tmp_path]
    arguments += ["--set", "rows.stride=16", "--json"]
    said = vadbench(*arguments, status=2).err
    assert "1 of 7 videos lack a file" in said and "'Normal_Videos001_x264'" in said
    (record,) = vadbench(*arguments, "--allow-incomplete").json
    assert record["data"]["train"]["videos"] == 2
    assert any("Fighting002_x264.mp4: not a readable video" in n for n in record["notes"])
    assert any(n.startswith("incomplete: 2 of 1610 train videos") for n in record["notes"])
