"""Comparing features: every cause of a difference is made to happen and must be told from the others."""

import base64
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vadbench.base.errors import FeatureError
from vadbench.features.fingerprint import Fingerprint
from vadbench.features.layouts import open_features
from vadbench.features.source import FeatureSource
from vadbench.inspect.agreement import agreement
from vadbench.inspect.feature_comparison import compare

PRINT = Fingerprint("tiny", "0" * 64, "gelu", "none", stride=16, pooling="mean", dim=64)


@dataclass
class Held(FeatureSource):
    """Features held in memory: crops by name for each video."""

    values: dict
    fingerprint: Fingerprint = PRINT
    folder: Path = Path("held")
    lengths: dict = field(default_factory=dict)

    @property
    def names(self):
        return tuple(sorted(self.values))

    def crops(self, name):
        return tuple(self.values[name])

    def crop_rows(self, name, crop):
        if isinstance(self.values[name][crop], Exception):
            raise self.values[name][crop]
        return self.values[name][crop]

    def frames(self, name):
        return self.lengths.get(name)

    def stamp(self, name):
        return ""


def walk(rows, seed=0, dim=64, step=0.2):
    """Rows of a video: each near the one before, as neighbouring frames are; not normalised."""
    noise = np.random.default_rng(seed)
    steps = noise.standard_normal((rows, dim)) * step
    return (noise.standard_normal(dim) + 3 + np.cumsum(steps, 0)).astype(np.float32)


def unit(rows):
    return (rows / np.linalg.norm(rows.astype(np.float64), axis=-1, keepdims=True)).astype(np.float32)


def one(values, **changes):
    return Held({"v": values if isinstance(values, dict) else {"0": values}}, replace(PRINT, **changes))


def kinds(comparison):
    return [cause.kind for video in comparison.videos for cause in video.causes]


def texts(comparison):
    return " | ".join(cause.text for video in comparison.videos for cause in video.causes)


def mean_cosine(a, b):
    """An independent reference: the definition, a row at a time."""
    return np.mean([float(x @ y) / (np.sqrt(float(x @ x)) * np.sqrt(float(y @ y))) for x, y in zip(a, b, strict=True)])


def jitter(rows, size, seed=9):
    """Rows turned away by noise of a size relative to theirs."""
    noise = np.random.default_rng(seed).standard_normal(rows.shape)
    noise *= size * np.linalg.norm(rows, axis=1, keepdims=True) / np.linalg.norm(noise, axis=1, keepdims=True)
    return (rows + noise).astype(np.float32)


ROWS = walk(40)
FRAMES = walk(163)


def test_the_same_values():
    result = compare(one(ROWS), one(ROWS.copy()))
    assert result.same and kinds(result) == ["same"]
    (video,) = result.videos
    assert video.shapes == ((1, 40, 64), (1, 40, 64))
    assert video.cosine == pytest.approx(1) and video.lowest == pytest.approx(1)
    # How values are stored and what the only crop is called is no difference.
    assert compare(one(ROWS.astype("f2").astype("f4")), one({"center": ROWS.astype("f2")})).same


def test_rounding_to_float16():
    result = compare(one(ROWS), one(ROWS.astype(np.float16), dtype="float16"))
    assert not result.same and kinds(result) == ["rounded"] and "float16" in texts(result)
    assert result.fingerprint == ["dtype: float32 here, float16 there"]
    assert 0.9999 < result.videos[0].lowest < 1


def test_other_arithmetic():
    bfloat16 = (ROWS.view(np.uint32) & 0xFFFF0000).view(np.float32)
    result = compare(one(ROWS), one(bfloat16))
    assert kinds(result) == ["rounded"] and "arithmetic" in texts(result)


def test_normalised_on_one_side():
    for a, b, side in ((ROWS, unit(ROWS), "B"), (unit(ROWS), ROWS, "A"), (unit(ROWS).astype("f2"), ROWS, "A")):
        result = compare(one(a), one(b))
        assert kinds(result) == ["normalised"] and f"in {side} only" in texts(result)


def test_other_lengths():
    assert kinds(compare(one(ROWS), one(ROWS * 1.5))) == ["rescaled"]
    assert kinds(compare(one(ROWS), one(ROWS * np.linspace(1, 1.1, 40)[:, None].astype("f4")))) == ["rescaled"]


@pytest.mark.parametrize(
    ("size", "kind"), [(0.02, "preprocessing"), (0.2, "preprocessing"), (0.5, "frames"), (1.5, "content")]
)
def test_other_inputs_are_told_by_how_far_rows_turn(size, kind):
    other = jitter(ROWS, size)
    result = compare(one(ROWS), one(other))
    assert kinds(result) == [kind]
    assert result.videos[0].cosine == pytest.approx(mean_cosine(ROWS, other), abs=1e-6)


def test_another_encoder_of_the_same_width_and_of_another():
    noise = np.random.default_rng(1).standard_normal(ROWS.shape).astype(np.float32)
    result = compare(one(ROWS), one(noise))
    assert kinds(result) == ["encoder"] and abs(result.videos[0].cosine) < 0.3
    result = compare(one(ROWS), one(walk(40, dim=32), dim=32))
    assert kinds(result) == ["encoder"] and "64 wide in A, 32 in B" in texts(result)
    assert result.videos[0].cosine is None and result.fingerprint == ["dim: 64 here, 32 there"]


@pytest.mark.parametrize("shift", [1, 2, 8])
def test_shifted_rows(shift):
    result = compare(one(ROWS), one(ROWS[shift:]))
    what = "1 row" if shift == 1 else f"{shift} rows"
    assert kinds(result) == ["shifted"] and f"B lacks the first {what} of the other" in texts(result)
    result = compare(one(ROWS[shift:]), one(ROWS))
    assert kinds(result) == ["shifted"] and f"A lacks the first {what} of the other" in texts(result)
    # Other rows at both ends, float16 besides.
    result = compare(one(ROWS[:-shift]), one(ROWS[shift:].astype("f2")))
    assert kinds(result) == ["shifted", "rounded", "length"]


def test_a_row_less_at_the_end():
    result = compare(one(ROWS), one(ROWS[:-1]))
    assert not result.same and kinds(result) == ["length"] and texts(result) == "B ends 1 row before A"
    result = compare(one(ROWS[:-3].astype("f2")), one(ROWS))
    assert kinds(result) == ["rounded", "length"] and "A ends 3 rows before B" in texts(result)


def pooled_by_hand(frames, how):
    pieces = [frames[i : i + 16] for i in range(0, len(frames), 16)]
    pick = {"first": lambda p: p[0], "middle": lambda p: p[len(p) // 2], "mean": lambda p: p.mean(0)}[how]
    return np.stack([pick(p) for p in pieces])


@pytest.mark.parametrize(
    ("how", "words"), [("mean", "the mean of"), ("first", "the first of"), ("middle", "the middle one of")]
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_pooling_is_found_out(how, words, turned):
    fine, coarse = one(FRAMES, stride=1), one(pooled_by_hand(FRAMES, how), pooling="first")
    result = compare(coarse, fine) if turned else compare(fine, coarse)
    sides = "AB" if turned else "BA"
    assert set(kinds(result)) <= {"pooled", "rounded"} and kinds(result)[0] == "pooled"
    assert f"{sides[0]} has a row every 16 frames, {sides[1]} one every frame: {words} 16 of these" in texts(result)
    assert not result.same and result.videos[0].lowest > 0.9999


def test_pooling_and_a_dropped_tail():
    result = compare(one(FRAMES, stride=1), one(pooled_by_hand(FRAMES, "first")[:-1]))
    assert kinds(result) == ["pooled", "length"] and "B ends 1 row before A" in texts(result)


def test_pooling_of_rows_that_are_no_frames_uses_the_length_on_record():
    rows = walk(4, step=1)
    fine = Held({"v": {"0": rows}}, replace(PRINT, stride=8), lengths={"v": 28})
    # Two rows of 8 frames each, then one of 8 and one of the last 4.
    coarse = np.stack([(rows[0] + rows[1]) / 2, (2 * rows[2] + rows[3]) / 3])
    assert "the mean of 2 of these" in texts(compare(fine, one(coarse)))


def test_no_pooling_fits_and_strides_that_are_no_multiples():
    result = compare(one(FRAMES, stride=1), one(jitter(pooled_by_hand(FRAMES, "mean"), 0.1)))
    assert kinds(result) == ["unaligned", "preprocessing"] and "closest is mean" in texts(result)
    result = compare(one(FRAMES, stride=3), one(ROWS, stride=16))
    assert kinds(result) == ["unaligned"] and result.videos[0].cosine is None


def test_another_crop():
    crops = {str(i): jitter(ROWS, 0.3, seed=i) for i in range(4)}
    swapped = {"0": crops["1"], "1": crops["0"], "2": crops["2"], "3": crops["3"]}
    result = compare(one(crops), one(swapped))
    assert kinds(result) == ["crop", "crop"]
    assert texts(result) == "crop 0 of A is crop 1 of B | crop 1 of A is crop 0 of B"
    result = compare(one({"center": crops["2"]}), one(crops))
    assert kinds(result) == ["crop"] and "center of A is closest to 2 of B" in texts(result)
    result = compare(one({"2": crops["2"]}), one(crops))
    assert kinds(result) == ["crop"] and texts(result) == "crops 0, 1, 3 are in B only"
    assert compare(one(crops), one(dict(reversed(crops.items())))).same


def test_values_that_are_not_finite_and_files_that_cannot_be_read():
    bad = ROWS.copy()
    bad[3, 4] = np.inf
    result = compare(one(ROWS), one(bad))
    assert kinds(result) == ["not-finite"] and result.videos[0].cosine is None
    values = {"a": {"0": ROWS}, "b": {"0": FeatureError("b.npy is truncated")}, "c": {"0": ROWS}}
    result = compare(Held(values), Held(values | {"b": {"0": ROWS}}))
    assert kinds(result) == ["same", "unreadable", "same"] and not result.same
    assert "b.npy is truncated" in texts(result)


def test_rows_of_zeros_agree_with_themselves_only():
    rows = ROWS.copy()
    rows[-2:] = 0
    assert compare(one(rows), one(rows.copy())).same
    result = agreement(rows, rows * 2)
    assert (result.lowest, result.cause().kind) == (pytest.approx(1), "rescaled")
    result = agreement(rows, ROWS)
    assert result.lowest == 0 and result.mean == pytest.approx(38 / 40)


def test_videos_of_one_side_are_listed_and_common_causes_counted():
    a = Held({n: {"0": walk(20, seed=i)} for i, n in enumerate("abcd")})
    b = Held({n: {"0": unit(a.values[n]["0"])} for n in "abc"} | {"e": {"0": ROWS}})
    b.values["c"] = a.values["c"]
    stages = []
    result = compare(a, b, lambda *told: stages.append(told))
    assert (result.only_a, result.only_b, result.same) == (["d"], ["e"], False)
    assert [(c.kind, n) for c, n in result.causes] == [("normalised", 2), ("same", 1)]
    assert stages == [("comparing features", i, 3) for i in range(4)]
    shown = json.loads(json.dumps(result.to_dict()))
    assert shown["causes"][0]["videos"] == 2 and shown["only_a"] == ["d"] and len(shown["videos"]) == 3
    assert not compare(a, Held({"a": a.values["a"]})).same
    with pytest.raises(FeatureError, match=r"no name in both \(the first are 'a' and 'z'\)"):
        compare(a, Held({"z": {"0": ROWS}}))


@settings(max_examples=30)
@given(rows=st.integers(1, 9000), dim=st.sampled_from([3, 512]), seed=st.integers(0, 9))
def test_cosines_do_not_depend_on_the_pieces(rows, dim, seed):
    noise = np.random.default_rng(seed)
    a, b = (noise.standard_normal((rows, dim)).astype("f4") + 0.5 for _ in range(2))
    found = agreement(a, b)
    lengths = np.linalg.norm(a.astype("f8"), axis=1) * np.linalg.norm(b.astype("f8"), axis=1)
    cosines = np.einsum("ij,ij->i", a.astype("f8"), b.astype("f8")) / lengths
    assert (found.rows, found.identical) == (rows, False)
    assert found.mean == pytest.approx(cosines.mean()) and found.lowest == pytest.approx(cosines.min())


def real(test_data, name):
    content = json.loads((test_data / "clip" / name).read_text())["features"]
    return {n: np.frombuffer(base64.b64decode(x["b64"]), "<f2").reshape(x["shape"]) for n, x in content.items()}


def save_all(folder, videos, ending=""):
    folder.mkdir()
    for name, rows in videos.items():
        np.save(folder / f"{name}{ending}.npy", rows)


def test_real_features_of_sixteen_frames_are_the_mean_of_real_ones_of_each(test_data, tmp_path):
    frames = real(test_data, "clip_vitb16_perframe_3_train_videos.json")
    save_all(tmp_path / "frames", frames)
    save_all(tmp_path / "snippets", real(test_data, "clip_vitb16_snippets16_5_train_videos.json"), "__0")
    a = open_features(tmp_path / "frames", None, {}, "anomalyclip")
    b = open_features(tmp_path / "snippets", None, {})
    result = compare(a, b)
    assert [v.name for v in result.videos] == sorted(frames) and len(result.only_b) == 2
    for video in result.videos:
        assert video.lowest > 0.9999
        assert video.causes[0].kind == "pooled" and "the mean of 16 of these" in video.causes[0].text
    assert a.fingerprint.normalised and not b.fingerprint.normalised


def test_real_features_of_another_encoder_order_and_video(test_data):
    rows = real(test_data, "clip_vitb16_snippets16_5_train_videos.json")
    (other,) = real(test_data, "clip_otherencoder_stride2_Abuse001.json").values()
    mine = rows["Abuse001_x264"]
    result = compare(one(mine, dim=512), one(other, dim=512))
    assert kinds(result)[0] == "encoder" and result.videos[0].cosine < 0.1
    shuffled = mine[np.random.default_rng(0).permutation(len(mine))]
    assert kinds(compare(one(mine, dim=512), one(shuffled, dim=512))) == ["frames"]
    assert kinds(compare(one(mine, dim=512), one(rows["Abuse023_x264"], dim=512)))[0] == "content"
    assert kinds(compare(one(mine, dim=512), one(mine[1:], dim=512))) == ["shifted"]
