"""Recorded scores beside what was run here: apart, unless they are asked for, and never among other conditions."""

import pytest

from vadbench.records.record import RecordedSource

BLIP = {"encoder": "blip", "weights": "3" * 64}


@pytest.fixture
def record(make_run):
    """Write the folder of recorded scores."""

    def call(method="theirs", quality=2, **fields):
        own = {
            "method_version": "recorded",
            "reads": "recorded",
            "recorded": RecordedSource(source="somewhere"),
            "clip": {},
            "notes": ["scores were computed by others: somewhere, licence not stated"],
            "group": f"{method} {fields.pop('scores', '')}",
        }
        return make_run(method, quality=quality, **(own | fields))

    return call


def ranked(boards, **options):
    """The labels of each table's ranked rows."""
    return [[row.label for row in t.rows if row.rank is not None] for t in boards(**options).tables]


def features(table):
    return table.note.partition("Features ")[2]


def test_recorded_scores_have_a_table_of_their_own(make_run, record, boards):
    make_run("mine", quality=1)
    record("theirs", quality=3)
    record("others", quality=0)
    assert sorted(ranked(boards)) == [["mine"], ["theirs (recorded)", "others (recorded)"]]
    apart = next(t for t in boards().tables if len(t.rows) == 2)
    assert features(apart) == "not known: recorded scores of others."
    assert apart.backbone == "none"


def test_they_are_ranked_among_runs_if_asked(make_run, record, boards):
    make_run("mine", quality=1)
    make_run("weak", quality=-1)
    record("theirs", quality=3)
    record("others", quality=0)
    (labels,) = ranked(boards, with_recorded=True)
    assert labels == ["theirs (recorded)", "mine", "others (recorded)", "weak"]
    (table,) = boards(with_recorded=True).tables
    assert features(table).startswith("of CLIP") and table.backbone == "CLIP ViT-B/16"
    assert all(cell.reproduced.low is not None for cell in (row.cells[0] for row in table.rows))
    theirs, mine = (next(row for row in table.rows if row.label.startswith(n)) for n in ("theirs", "mine"))
    said = " ".join([*theirs.notes, *(n for cell in theirs.cells if cell.reproduced for n in cell.reproduced.notes)])
    assert "scores were computed by others: somewhere" in said
    assert not any("computed by others" in n for n in mine.notes)


def test_they_join_the_runs_of_each_kind_of_features(make_run, record, boards):
    make_run("mine", quality=1)
    make_run("blip", quality=1, fingerprint=BLIP)
    record()
    assert sorted(ranked(boards, with_recorded=True)) == [
        ["theirs (recorded)", "blip"],
        ["theirs (recorded)", "mine"],
    ]


def test_without_runs_they_stay_where_they_are(record, boards):
    record("theirs", quality=3)
    record("others", quality=0)
    assert ranked(boards, with_recorded=True) == ranked(boards) == [["theirs (recorded)", "others (recorded)"]]


@pytest.mark.parametrize(
    "other",
    [
        {"rules": {"tail": "rows"}},
        {"rules": {"boundaries": "vadclip"}},
        {"rules": {"truth": "late"}},
        {"rules": {"partition": "half"}},
        {"rules": {"post": "gaussian(1)"}},
        {"protocol": "vadclip"},
        {"trained_on": "elsewhere"},
        {"count": 22},
        {"notes": ["incomplete: 20 of 24 test videos"]},
        {"supervision": "oracle"},
    ],
    ids=lambda other: next(iter(other)) + str(next(iter(other.values()))),
)
def test_other_conditions_stay_apart(make_run, record, boards, other):
    make_run("mine", quality=1)
    record(**other)
    both = [table.rows for table in boards(with_recorded=True).tables]
    assert len(both) == 2 and all(len(rows) == 1 for rows in both)


def test_post_processing_of_the_authors_is_no_other_condition(make_run, record, boards):
    make_run("mine", quality=1)
    record(rules={"post": "gaussian(1)"}, method_post="gaussian(1)")
    (labels,) = ranked(boards, with_recorded=True)
    assert labels == ["theirs (recorded)", "mine"]
    (table,) = boards(with_recorded=True).tables
    assert [row.post for row in table.rows] == ["gaussian(1) (the method's own)", ""]


def test_scores_of_one_name_are_told_apart(record, boards):
    first, second = (
        record(scores="a", config={}, quality=2),
        record(scores="b", quality=1, seed=0, notes=["scores were computed by others: x"]),
    )
    assert first != second
    (labels,) = ranked(boards)
    assert labels == [f"theirs (recorded) (scores {folder.name[:8]})" for folder in (first, second)]
