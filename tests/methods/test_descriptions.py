"""Description banks: their form, what is wrong with one, and how a CLIP reads it."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from vadbench_descriptions.bank import Bank, parse_bank, read_bank, require_sound
from vadbench_descriptions.wording import (
    ambiguous_phrases,
    long_phrases,
    long_sentences,
    read_with,
    require_fitting,
    token_counts,
)

from vadbench.base.errors import ConfigError
from vadbench.clip import ClipSource, load_clip
from vadbench.dataset import ClassTable, VideoClass

CLASSES = ClassTable((VideoClass("Fire", aliases=("fire",)), VideoClass("Normal"), VideoClass("Fight")), 1)
SOUND = Bank(normal=("a street",), abnormal=("something strange",), classes=(("Fire", ("flames", "smoke")),))


@pytest.fixture(scope="module")
def clip():
    return load_clip()


def test_a_file_is_read_as_it_is_written(tmp_path):
    path = tmp_path / "site.toml"
    path.write_text(
        'title = "yard"\nnormal = ["a street"]\nabnormal = ["something strange"]\n'
        '[classes]\nFire = ["flames", "smoke"]\n"Two words" = ["a fight"]\n'
    )
    bank = read_bank(path)
    assert bank.normal == ("a street",) and str(bank) == "yard"
    assert bank.classes == (("Fire", ("flames", "smoke")), ("Two words", ("a fight",)))
    assert bank.anomalies == ("something strange", "flames", "smoke", "a fight")
    assert bank.problems() == []


@pytest.mark.parametrize(
    "text, message",
    [
        ("normal = 3 4", r"cannot read .*site.toml as TOML.*line 1"),
        (
            'normal = "a street"',
            r"site.toml: normal: expected a list of texts, found 'a street'; write .\"a street\".$",
        ),
        ("normal = 3", "site.toml: normal: expected a list of texts, found 3$"),
        ("normal = [7]", "site.toml: normal.0: Input should be a valid string, found 7"),
        ("classes = 3", "site.toml: classes: expected a table with a list of texts for each class, found 3$"),
        (
            '[classes]\nFire = "flames"',
            r"toml: classes.Fire: expected a list of texts, .*'flames'; write .\"flames\".$",
        ),
        (
            '[normals]\nX = ["a"]\nFire = ["b", 7]',
            "site.toml: normals.Fire.1: Input should be a valid string, found 7$",
        ),
        ('unusual = ["a street"]', "site.toml: unusual: is not part of a description bank; expected normal"),
    ],
)
def test_a_file_of_another_form_is_refused(tmp_path, text, message):
    path = tmp_path / "site.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_bank(path)


def test_an_unreadable_file_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read .*nothing.toml"):
        read_bank(tmp_path / "nothing.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00normal")
    with pytest.raises(ConfigError, match=r"cannot read .*binary.toml"):
        read_bank(tmp_path / "binary.toml")


@pytest.mark.parametrize(
    "values, problem",
    [
        ({"normal": [], "abnormal": ["b"]}, "no normal phrase; add at least one"),
        ({"normal": ["a"]}, "no abnormal phrase; add at least one"),
        ({"normal": ["a", " "], "abnormal": ["b"]}, "an empty phrase in normal; remove it"),
        ({"normal": ["a"], "classes": {"Fire": [""], "X": ["b"]}}, "an empty phrase in classes.Fire; remove it"),
        ({"normal": ["a"], "abnormal": ["b"], "classes": {"Fire": []}}, "class 'Fire' has no phrase; add one or"),
        ({"normal": ["a", "A "], "abnormal": ["b"]}, "'a' is 2 times in normal; keep one"),
        ({"normal": ["a  fire"], "abnormal": ["A fire"]}, "'a  fire' is both normal and abnormal (normal, abnormal)"),
        (
            {"normal": ["a"], "classes": {"Fire": ["smoke"], "Bomb": ["smoke"]}},
            "'smoke' is in classes.Fire and in classes.Bomb; keep one",
        ),
        ({"normal": ["a"], "classes": {"normal ": ["b"]}}, "'normal ' is no class of anomalies; move its phrases to"),
        ({"normal": ["a"], "classes": {"Fire": ["b"], "fire": ["c"]}}, "classes 'Fire' and 'fire' are one; put the"),
    ],
)
def test_what_is_wrong_with_a_bank_is_said(values, problem):
    bank = parse_bank(values, "mine")
    (found,) = bank.problems()
    assert found.startswith(problem)
    with pytest.raises(ConfigError, match="description bank mine: "):
        require_sound(bank, "mine")


@pytest.mark.parametrize(
    "values, problems",
    [
        ({"normals": {"Fire": ["a chimney"]}, "avoid": {"Fire": ["flame", "FLAMES"]}}, []),
        (
            {"normals": {"Fire": ["a stove with Flames", "a chimney"]}, "avoid": {"Fire": ["flames", "stove", "chim"]}},
            [
                "normal phrase 'a stove with Flames' has 'flames', 'stove', which class 'Fire' avoids; reword it",
            ],
        ),
        (
            {"normal": ["a fire engine", "x-ray fire-engine"], "avoid": {"Fire": ["fire engine", "engine"]}},
            [
                "normal phrase 'a fire engine' has 'fire engine', 'engine', which class 'Fire' avoids; reword it",
                "normal phrase 'x-ray fire-engine' has 'engine', which class 'Fire' avoids; reword it",
            ],
        ),
        (
            {"normals": {"Fyre": ["a stove"]}, "avoid": {"fire": ["x"]}},
            [
                "'Fyre' in normals is no name under classes; spell it alike or remove it; did you mean 'Fire'?",
                "'fire' in avoid is no name under classes; spell it alike or remove it; did you mean 'Fire'?",
            ],
        ),
        ({"normals": {"Fire": []}}, ["normals.Fire is empty; fill or remove it"]),
        ({"avoid": {"Fire": [" "]}}, ["avoid.Fire is empty; fill or remove it"]),
        (
            {"normals": {"Fire": ["a street", "smoke"], "Fight": ["Smoke", "hug"]}},
            ["'a street' is in normal and in normals.Fire; keep one", "'smoke' is both normal and abnormal"],
        ),
    ],
    ids=str,
)
def test_what_is_wrong_with_the_normal_sides_of_classes_is_said(values, problems):
    base = {"normal": ["a street"], "classes": {"Fire": ["burning", "smoke"], "Fight": ["a brawl"]}}
    found = parse_bank(base | values, "mine").problems()
    assert len(found) == len(problems)
    for wanted in problems:
        assert any(line.startswith(wanted) for line in found), (wanted, found)


def test_a_class_without_a_normal_side_has_that_of_all():
    bank = parse_bank({"normal": ["a"], "classes": {"Fire": ["b"], "Bomb": ["c"]}, "normals": {"Fire": ["d"]}}, "mine")
    assert bank.normal_side("Fire") == ("d",) and bank.normal_side("Bomb") == ("a",)
    assert bank.normalities == ("a", "d") and bank.anomalies == ("b", "c")


def test_several_problems_are_counted():
    with pytest.raises(ConfigError, match=r"no normal phrase.*\(and 1 more: vadbench descriptions check lists them\)"):
        require_sound(Bank(), "mine")


@given(st.lists(st.text("abc ", min_size=1, max_size=3), max_size=6), st.lists(st.text("abc ", max_size=3), max_size=6))
def test_a_bank_is_sound_when_no_two_of_its_phrases_read_alike(normal, abnormal):
    read = [" ".join(p.split()) for p in normal + abnormal]
    sound = bool(normal and abnormal) and all(read) and len(set(read)) == len(read)
    assert (not Bank(normal=tuple(normal), abnormal=tuple(abnormal)).problems()) == sound


def test_phrases_find_their_class_by_any_of_its_names():
    assert Bank(normal=("a",), classes=(("fire", ("flames",)),)).of_classes(CLASSES) == {0: ("flames",)}
    with pytest.raises(ConfigError, match=r"rename the class 'Fyre', which the data set lacks, .* did you mean 'Fire'"):
        Bank(normal=("a",), classes=(("fire", ("flames",)), ("Fyre", ("heat",)))).of_classes(CLASSES)
    with pytest.raises(ConfigError, match="'Fire' is a second name of class 'Fire'"):
        Bank(classes=(("fire", ("a",)), ("Fire", ("b",)))).of_classes(CLASSES)
    with pytest.raises(ConfigError, match="'Normal' is the data set's normal class; move its phrases"):
        Bank(classes=(("Normal", ("a",)),)).of_classes(CLASSES)


def test_tokens_are_counted_beyond_what_clip_reads():
    texts = ["", "fire", "walking " * 100, "é" * 50, "!"]
    counts = token_counts(texts)
    assert counts[:3] == [2, 3, 102] and counts[4] == 3
    assert counts[3] > 2


def test_a_phrase_too_long_is_named_with_its_count():
    bank = Bank(normal=("walking " * 75,), abnormal=("walking " * 76,))
    (line,) = long_phrases(bank, 77)
    assert line.endswith("...' is 78 tokens long, CLIP reads 77; shorten it") and len(line) < 120
    with pytest.raises(ConfigError, match="78 tokens long"):
        require_fitting(bank, 77)
    require_fitting(bank, 78)


def test_a_phrase_that_is_too_long_behind_its_prefix_is_named_and_its_cut_text_read_nowhere(clip):
    longest = clip.text.context_length
    fits, long = ("walking " * (longest - count) for count in (5, 2))
    sides = {"classes": (("Fire", ("flames", long)),), "normals": (("Fire", ("a stove", fits, "a" + long[7:])),)}
    bank = Bank(normal=("a street",), **sides)
    assert not bank.problems() and not long_phrases(bank, longest)
    found = long_sentences(bank, longest)
    assert len(found) == 2 and found[0].startswith("'Normal scene: a walking walking")
    assert found[1].startswith("'Anomalous scene: walking walking")
    assert not long_sentences(Bank(normal=(long,), abnormal=("flames",)), longest), "where no class has a normal side"
    twice = Bank(normal=("walking " * longest,), abnormal=("flames",), normals=(("Fire", ("a stove",)),))
    assert not long_sentences(twice, longest), "it is among the long phrases already"
    short = Bank(classes=(("Fire", ("flames",)),), normals=(("Fire", ("a stove", fits)),))
    assert ambiguous_phrases(bank, clip) == ambiguous_phrases(short, clip) != []


def test_a_bank_without_a_title_is_called_by_all_its_phrases():
    bank = Bank(normal=("a street",), classes=(("Fire", ("flames",)),), normals=(("Fire", ("a stove", "sunset")),))
    assert str(bank) == "3 normal and 1 abnormal phrases"


def test_the_nearest_phrase_of_the_other_side_against_loops(clip):
    readings = read_with(SOUND, clip)
    assert [r.cosine for r in readings] == sorted((r.cosine for r in readings), reverse=True)
    sides = {p: p != "a street" for p in ("a street", *SOUND.anomalies)}
    with torch.no_grad():
        text = {p: clip.text([p])[0].double().numpy() for p in sides}
    for reading in readings:
        cosines = {
            p: text[p] @ text[reading.phrase] / np.linalg.norm(text[p]) / np.linalg.norm(text[reading.phrase])
            for p in sides
            if sides[p] != sides[reading.phrase]
        }
        assert reading.abnormal == sides[reading.phrase]
        assert reading.nearest == max(cosines, key=cosines.get)
        assert reading.cosine == pytest.approx(max(cosines.values()), abs=1e-5)


def test_without_another_side_there_is_no_nearest(clip):
    (reading,) = read_with(Bank(normal=("a street", " ")), clip)
    assert reading.nearest == "" and reading.cosine is None
    assert read_with(Bank(), clip) == []


def test_ambiguity_of_normal_sides_against_loops(clip):
    bank = Bank(
        normal=("a street",),
        classes=(("Fire", ("flames", "smoke")), ("Bomb", ("an explosion",))),
        normals=(("Fire", ("red evening light", "a chimney")),),
    )

    def feature(text):
        with torch.no_grad():
            x = clip.text([text])[0].double().numpy()
        return x / np.linalg.norm(x)

    expected, sides = {}, {"Fire": bank.normals[0][1], "Bomb": bank.normal}
    for name, phrases in bank.classes:
        mean = np.mean([feature(f"Anomalous scene: {p}") for p in phrases], axis=0)
        for phrase in sides[name]:
            expected[name, phrase] = feature(f"Normal scene: {phrase}") @ mean / np.linalg.norm(mean)
    found = ambiguous_phrases(bank, clip)
    assert {(a.name, a.phrase): a.value for a in found} == pytest.approx(expected, abs=1e-5)
    assert [a.value for a in found] == sorted((a.value for a in found), reverse=True)
    assert ambiguous_phrases(SOUND, clip) == [], "where no class has a side of its own"


def test_words_that_the_clip_was_never_taught_are_found(clip):
    bank = Bank(normal=("people walking",), abnormal=("Fighting cyclist, on the walkway", "a zebra", "shoplifting"))
    unseen = {r.phrase: r.unseen for r in read_with(bank, clip)}
    # No caption of the small CLIP names a fight or a cyclist, though their embeddings are stored.
    assert unseen == {
        "people walking": (),
        "Fighting cyclist, on the walkway": ("Fighting", "cyclist"),
        "a zebra": ("zebra",),
        "shoplifting": (),
    }


def test_an_untrained_clip_was_taught_nothing_and_of_others_it_is_not_known(tmp_path):
    untrained = load_clip(ClipSource("small", "random:0"))
    bank = Bank(normal=("people walking",), abnormal=("a fire",))
    assert all(r.unseen == tuple(r.phrase.split()) for r in read_with(bank, untrained))
    other = load_clip(ClipSource("ViT-B-32", "random:0"))
    object.__setattr__(other.source, "weights", "laion2b_s34b_b79k")
    assert not any(r.unseen for r in read_with(bank, other))
