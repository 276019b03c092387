"""What a method cannot do with a data set, its features or a user's videos: a line, before anything is begun."""

import re

import numpy as np
import pytest

from kinds import PLUGINS, save_audio, save_crops
from stores import append
from vadbench.data.media import source_id
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.store import StoreWriter
from watch_media import encode, noise

pytestmark = pytest.mark.usefixtures("tiny_at_hand")


@pytest.fixture(autouse=True)
def nothing_begins(monkeypatch):
    """Nothing is trained, extracted, scored or decoded where a command is refused."""

    def begun(*_, **__):
        raise AssertionError("something was begun")

    for name in (
        "vadbench.harness.execution.execute",
        "vadbench.features.extraction.extract_features",
        "vadbench.watch.scored_video.score_video",
        "vadbench.watch.company.score_company",
        "vadbench.watch.reader.Reader.__iter__",
    ):
        monkeypatch.setattr(name, begun)


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny_cache):
    """Folders of features by their name in capitals."""
    place = tmp_path_factory.mktemp("features")
    made = {
        "AUDIO": save_audio(place / "audio"),
        "LONG": save_audio(place / "long", rows=17),
        "CROPS": save_crops(place / "crops"),
        "UNEQUAL": save_crops(place / "unequal"),
        "REGIONS": place / "regions",
        "EMPTY": place / "empty",
    }
    (made["UNEQUAL"] / "train-3__1.npy").unlink()
    made["EMPTY"].mkdir()
    two = Fingerprint("vit", "0" * 64, "gelu", "resized", 1, "middle", 16, crops=("0", "1"), regions="two boxes")
    with StoreWriter(made["REGIONS"], two) as writer:
        for file in sorted(made["CROPS"].glob("*__0.npy")):
            name, rows = file.stem.removesuffix("__0"), np.load(file).repeat(15, axis=0)
            append(writer, name, [rows, rows], 30, source_id(tiny_cache / "datasets" / "tiny" / f"{name}.mp4"))
    return made


def placed(arguments, folders):
    for name, folder in folders.items():
        arguments = [a.replace(name, str(folder)) for a in arguments]
    return arguments


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        # Streams, by their names.
        ("-m two-streams", "reads the streams clip, audio with these settings, found clip; give features of audio"),
        ("-m two-streams --features AUDIO --features LONG", "both give the first stream"),
        ("-m two-streams --features audio=AUDIO --features audio=LONG", "are of one stream; leave one out"),
        ("-m linear --features CROPS --features clip=CROPS", "stream 'clip' is given twice"),
        ("-m two-streams --features audoi=AUDIO", "give features of audio"),
        ("-m two-streams --features audio=AUDIO --features audoi=AUDIO", "no stream 'audoi'.*did you mean 'audio'"),
        ("-m two-streams --features audio=EMPTY", "holds no features of any of the 14 videos"),
        ("-m two-streams --features audio=AUDIO --spacing audio=2f", "expected 15 rows of stream 'audio'.*found 10"),
        ("-m linear --features audio=AUDIO", "reads no stream 'audio' with these settings"),
        ("-m motion-energy --features AUDIO", "'motion-energy' reads no features with these settings"),
        ("-m blind-rows --features clip=AUDIO", "'blind-rows' reads no stream 'clip'"),
        # Crops.
        ("-m motion-energy --crop mean", "reads no features, which have crops; leave --crop mean out"),
        ("-m linear --set rows.crops=bag", "given the crops of a video one by one, not as a bag; set rows.crops=one"),
        (
            "-m bag-of-crops --features UNEQUAL --crop mean --set rows.stride=16",
            "as many crops of every video: 'train-0' has 2, 'train-3' has 1",
        ),
        ("-m bag-of-crops --features REGIONS --set rows.pooling=first", "are of regions.*make no bag of crops"),
        (
            "-m transductive --features CROPS --crop mean --set rows.stride=16",
            "in company is given one crop of each, found 2 of 'test-0'",
        ),
        (
            "-m transductive --features REGIONS --set rows.pooling=first",
            "in company is given one crop of each, found 2 of 'test-0'",
        ),
        # Videos.
        ("-m two-stage -d testing-only", "must be trained, and testing-only has no train split; .*--from RUN"),
        ("-m nearest -d testing-only", "must be trained, and testing-only has no train split"),
        ("-m brightness -d testing-only", "must be trained, and testing-only has no train split"),
        ("-m motion-energy -d testing-only", "decodes the videos, and no file of them is here"),
        ("-m picky -d synthetic", "tells 1 abnormal classes apart, found 6; raise most_classes"),
        # Text.
        ("-m open-vocabulary --features CROPS", "16 wide, those of CLIP small 64"),
        # Selection.
        ("-m zero-shot --selection validation", "'zero-shot' is not trained"),
        ("-m nearest --selection best-on-test", "'nearest' is not trained"),
        ("-m oracle --selection validation", "'oracle' is not trained"),
        ("-m blind-rows --set recipe.epochs=2", "has no loss that a recipe would be for"),
    ],
)
def test_a_run_that_cannot_be_is_a_line(refused, folders, tmp_path, asked, said):
    arguments = placed(asked.split(), folders)
    dataset = () if "-d" in arguments else ("-d", "tiny")
    line = refused("run", *PLUGINS, *dataset, *arguments, "--device", "cpu", "--out", tmp_path / "runs")
    assert re.search(said, line), line
    assert not list(tmp_path.glob("runs/*/*/*"))


@pytest.mark.parametrize(
    ("train", "test", "asked", "said"),
    [
        (1, 2, "-m nearest", "learns from normal training videos, and there are none"),
        (1, 2, "-m knn", "learns from normal training videos, and there are none"),
        (1, 2, "-m density", "learns from normal training videos, and there are none"),
        (1, 2, "-m linear", "batches of normal and abnormal videos, found 0 and 1 in the train split"),
        (
            2,
            2,
            "-m linear",
            "needs 2 abnormal and 2 normal training videos, found 1 and 1; set recipe.batch_size=2 or less",
        ),
        (1, 2, "-m brightness", "batches of normal and abnormal videos, found 0 and 1 in the train split"),
        (
            2,
            2,
            "-m linear --selection validation --set recipe.batch_size=2",
            "needs two of a class for that; tiny has 1 Normal, 1 Square; choose",
        ),
        (2, 2, "-m two-stage --selection validation --set recipe.batch_size=2", "needs two of a class for that"),
    ],
)
def test_too_few_videos_of_a_kind_are_a_line(refused, monkeypatch, tmp_path, train, test, asked, said):
    monkeypatch.setenv("TINY_TRAIN", str(train))
    monkeypatch.setenv("TINY_TEST", str(test))
    line = refused("run", *PLUGINS, "-d", "tiny", *asked.split(), "--device", "cpu", "--out", tmp_path / "runs")
    assert said in line
    assert not list(tmp_path.glob("runs/*/*/*"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("-m oracle", "it is an oracle, which is handed the ground truth, and there is none; use another method"),
        ("-m oracle -d tiny", "it is an oracle"),
        ("-m nearest -d tiny", "'nearest' must be trained first: vadbench run --method nearest"),
        ("-m bag-of-crops -d tiny", "'bag-of-crops' must be trained first"),
        ("-m two-streams -d tiny", "'two-streams' must be trained first"),
        ("-m picky -d tiny --set reads_audio=true", "reads the streams clip, audio.*found clip; use another method"),
        ("-m picky --set reads_frames=true", "reads frames beside features"),
        ("-m picky -d synthetic", "tells 1 abnormal classes apart, found 6"),
        ("-m open-vocabulary", "no classes are given for 'open-vocabulary'"),
        ("-m zero-shot -d tiny --set rows.crops=bag", "not as a bag; set rows.crops=one or all"),
        (
            "-m transductive -d tiny --calibrate {video}",
            "those of --calibrate would have other scores; give --threshold",
        ),
        ("-m transductive -d tiny --threshold 1 --follow", "scores all videos at once: .* found --follow; record it"),
        ("-m frames-only --follow", "scores a whole video at once: .* found --follow; record it"),
    ],
)
def test_a_users_video_that_cannot_be_scored_is_a_line(refused, tmp_path, asked, said):
    video = encode(tmp_path / "a.mp4", noise(4))
    line = refused(
        "score", video, *PLUGINS, *asked.format(video=video).split(), "--device", "cpu", "--out", tmp_path / "scored"
    )
    assert re.search(said, line), line
    assert not (tmp_path / "scored").exists()
