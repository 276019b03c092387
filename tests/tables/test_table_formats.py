"""Every format says the same, and nothing that a name contains can become markup."""

import csv
import io
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vadbench.base.errors import RunError
from vadbench.base.text import html_text, latex, markdown, plain, spreadsheet
from vadbench.tables.formats import CSV_COLUMNS, FORMATS, render
from vadbench.tables.table import (
    PublishedFigure,
    ReproducedFigure,
    Table,
    TableCell,
    TableColumn,
    TableRow,
    tables_from_json,
    to_json,
    with_shared_notes,
)

HOSTILE = (
    "<script>alert(1)</script> | & % _ \\ $x$ {y} \"q\" 'p' ^ ~ # [l](u) *b* `c` -- \u202eabc\u05d0 \x1b[31m\n=1+1"
)


def cell(mean=0.9, published=None, **fields):
    low, high = fields.pop("low", mean - 0.02), fields.pop("high", mean + 0.02)
    found = ReproducedFigure(mean=mean, std=0.0123, low=low, high=high, seeds=(0, 1, 2), **fields)
    gap = None if published is None else round(mean - published / 100, 6)
    stated = None if published is None else PublishedFigure(value=published / 100, printed=str(published))
    return TableCell(published=stated, reproduced=found, gap=gap, verdict="within the interval" if published else "")


def table(name="method", published=None, columns=2, **fields):
    rows = (
        TableRow(label=name, group="first", cells=tuple(cell(0.9, published, best=True) for _ in range(columns))),
        TableRow(
            label="other",
            group="first",
            cells=tuple(cell(0.8, published, second=True, tied=True) for _ in range(columns)),
        ),
        TableRow(
            label="none", group="second", notes=("not run here",), cells=tuple(TableCell() for _ in range(columns))
        ),
    )
    heads = tuple(
        TableColumn(title=f"AUC {i}", dataset="d", metric="AUC", definition="what it is") for i in range(columns)
    )
    return Table(**{"id": "b/1", "title": "a table", "note": "a note", "columns": heads, "rows": rows} | fields)


class Page(HTMLParser):
    """Tags must close in order; collects tags and text."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.tags.append(tag)
        scrolling = [("style", "overflow-x: auto"), ("tabindex", "0")]
        assert all(name in ("class", "scope", "colspan", "rowspan", "title") for name, _ in attributes) or (
            (tag, attributes) == ("div", scrolling)
        )

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def page(text):
    parser = Page()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return parser


def parse_latex(text):
    """The cells of every tabular, after checking what would stop LaTeX."""
    assert text.isascii() or all(c.isascii() or "À" <= c <= "ÿ" for c in text)
    body = "\n".join(line for line in text.splitlines() if not line.startswith("% needs"))
    bare = re.sub(r"\\[\\{}&%$#_]", "", body)
    assert "%" not in bare.replace("{%\n", "{\n")
    assert bare.count("$") % 2 == 0
    depth = 0
    for c in bare:
        depth += (c == "{") - (c == "}")
        assert depth >= 0
    assert depth == 0
    stack = []
    for kind, name in re.findall(r"\\(begin|end)\{(\w+)\}", body):
        if kind == "begin":
            stack.append(name)
        else:
            assert stack.pop() == name
    assert stack == []
    known = {
        *("begin", "end", "centering", "caption", "small", "resizebox", "ifdim", "width", "linewidth", "else", "fi"),
        *("par", "medskip", "toprule", "midrule", "bottomrule", "cmidrule", "multicolumn", "textbf", "underline"),
        *("textit", "pm", "approx", "footnotesize", "raggedright", "textbackslash", "textasciitilde"),
        *("textasciicircum", "textless", "textgreater", "textbar", "mathdollar"),
    }
    assert set(re.findall(r"\\([A-Za-z]+)", body)) <= known
    # Outside of mathematics these would be errors or other signs.
    outside = re.sub(r"\$[^$]*\$", "", re.sub(r"\\[{}&%$#_]", "", body)).replace(r"\ifdim\width>\linewidth", "")
    assert not set(outside) & set('#_^~|<>"`')
    assert all("&" not in line or line.endswith(r" \\") for line in outside.splitlines())
    tables = []
    for columns, rows in re.findall(r"\\begin\{tabular\}\{(\w+)\}\n(.*?)\\end\{tabular\}", body, re.S):
        lines = []
        for line in rows.splitlines():
            if line.startswith(("\\toprule", "\\midrule", "\\bottomrule", "\\cmidrule")):
                continue
            assert line.endswith(" \\\\")
            cells = re.split(r"(?<!\\)&", line.removesuffix("\\\\"))
            spans = sum(int(m[1]) if (m := re.search(r"\\multicolumn\{(\d+)\}", c)) else 1 for c in cells)
            assert spans == len(columns), line
            assert not cells[0].lstrip().startswith(("[", "*"))
            lines.append([c.strip() for c in cells])
        tables.append(lines)
    return tables


@pytest.mark.parametrize("format", FORMATS)
def test_made_twice_it_is_the_same_to_the_byte(format):
    drawn = [table(published=88.5), table(columns=9)]
    assert render(drawn, format) == render([t.model_copy(deep=True) for t in drawn], format)


@pytest.mark.parametrize("format", FORMATS)
def test_one_table_or_a_list_of_one_is_the_same(format):
    assert render(table(), format) == render([table()], format)


def test_json_reads_back_as_the_same_tables_and_draws_the_same():
    drawn = [table(published=88.5, notes=("a note on all",)), table(HOSTILE)]
    again = tables_from_json(to_json(drawn))
    assert again == drawn
    assert all(render(again, format) == render(drawn, format) for format in FORMATS)
    assert json.loads(to_json(drawn))["tables"][0]["rows"][0]["cells"][0]["published"] == {
        "value": 0.885,
        "printed": "88.5",
    }


@pytest.mark.parametrize(
    "text", ["", "{}", '{"schema_version": 2, "tables": []}', '{"schema_version": 1, "tables": [{}]}']
)
def test_damaged_json_is_one_line(text):
    with pytest.raises(RunError, match="expected tables as JSON") as error:
        tables_from_json(text)
    assert "\n" not in str(error.value)


def test_markdown_says_best_second_and_tied():
    lines = render(table(), "md").splitlines()
    assert "| **90.00 ± 1.23** [88.0, 92.0] |" in lines[7] and lines[7].startswith("| method |")
    assert "| <ins>80.00 ± 1.23</ins> ≈ [78.0, 82.0] |" in lines[8]
    assert lines[6].startswith("| *first* |")
    assert lines[10] == "| none<sup>a</sup> |  |  |"
    assert "<sup>a</sup> not run here" in lines[-1]
    rows = [line for line in lines if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows} == {4}


def test_published_numbers_stand_beside_with_gap_and_verdict():
    lines = render(table(published=88.5), "md").splitlines()
    head = "| method | AUC 0 published | AUC 0 reproduced | AUC 0 gap | AUC 0 verdict | AUC 1 published |"
    assert lines[4].startswith(head)
    assert "| 88.5 | **90.00 ± 1.23** [88.0, 92.0] | +1.50 | within |" in lines[7]
    assert "| 88.5 | <ins>80.00 ± 1.23</ins> ≈ [78.0, 82.0] | -8.50 | within |" in lines[8]


def test_what_nobody_filled_takes_no_room():
    published = TableRow(label="m", cells=(TableCell(published=PublishedFigure(value=0.5, printed="50")),))
    column = TableColumn(title="AUC", dataset="d", metric="AUC")
    todo = Table(title="t", columns=(column,), rows=(published,), missing="1 of 1 runs are missing")
    assert "| method | AUC published | AUC reproduced |" in render(todo, "md")
    assert "| method | AUC |" in render(todo.model_copy(update={"missing": ""}), "md")


def test_what_a_verdict_means_is_said_where_one_is_shown():
    differs = TableCell(reproduced=cell().reproduced, verdict="protocol differs in rules (native, not vadclip)")
    drawn = table().model_copy(update={"rows": (TableRow(label="m", cells=(differs, differs)),)})
    assert "Verdict" not in render(drawn, "md") and "Gap" not in render(drawn, "md")
    assert "Verdict" in render(table(published=88.5), "md") and "Gap" in render(table(published=88.5), "md")


def test_text_fits_the_terminal_and_is_split_not_wrapped():
    command = "vadbench bench b --only 1 --out a/very/long/path/to/the/runs/of/somebody"
    drawn = table(columns=9, missing=f"1 of 2 runs are missing; this makes them: {command}")
    for width in (60, 80, 120, 200):
        lines = render(drawn, "text", width=width).splitlines()
        assert max(map(len, lines[:-1])) <= width
        assert lines[-1].endswith("vadbench bench b --only 1 --out a/very/long/path/to/the/runs/of/somebody")
        assert sum(line.count("90.00 ± 1.23*") for line in lines) == 9
        assert sum(line.startswith("  method") for line in lines) == sum("AUC" in line for line in lines)
    assert "[88.0, 92.0]" in render(table(), "text", width=120)
    narrow = render(drawn, "text", width=80)
    assert "[88.0, 92.0]" not in narrow and "in brackets" not in narrow


def test_text_marks_by_signs_or_by_the_terminals_own_means():
    signs, styled = (render(table(), "text", styled=s) for s in (False, True))
    assert "90.00 ± 1.23*" in signs and "80.00 ± 1.23_ ≈" in signs and "\x1b" not in signs
    assert "\x1b[1m90.00 ± 1.23\x1b[0m" in styled and "\x1b[4m80.00 ± 1.23\x1b[0m" in styled


def test_numbers_stand_point_under_point():
    rows = tuple(
        TableRow(label=n, cells=(TableCell(reproduced=ReproducedFigure(mean=m, std=s, seeds=(0,), best=b)),))
        for n, m, s, b in (("a", 0.05, None, True), ("b", 0.951, 0.1, False), ("c", 1.0, 0.0, False))
    )
    column = TableColumn(title="AUC", dataset="d", metric="AUC")
    lines = render(Table(title="t", columns=(column,), rows=rows), "text").splitlines()
    assert len({line.index(".") for line in lines if re.match("[abc] ", line)}) == 1


def test_latex_has_as_many_cells_as_columns_and_marks():
    (lines,) = parse_latex(render(table(), "latex"))
    assert lines[0] == ["method", "AUC 0", "AUC 1"]
    assert lines[2][1] == r"\textbf{90.00 $\pm$ 1.23}"
    assert lines[3][1] == r"\underline{80.00 $\pm$ 1.23} $\approx$"
    assert lines[5][0] == "none$^{a}$"
    several = parse_latex(render(table(published=88.5, columns=9), "latex"))
    assert [len(t[1]) for t in several] == [9, 9, 9, 9, 5]
    assert several[0][3][1:5] == ["88.5", r"\textbf{90.00 $\pm$ 1.23}", "+1.50", "within"]


@pytest.mark.parametrize("compiler", ["pdflatex", "tectonic"])
def test_latex_compiles(tmp_path, compiler):
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    drawn = [table(HOSTILE, published=88.5, columns=9, note=HOSTILE, notes=(HOSTILE,)), table()]
    body = render(drawn, "latex")
    source = (
        f"\\documentclass{{article}}\n\\usepackage{{booktabs,graphicx}}\n\\begin{{document}}\n{body}\\end{{document}}\n"
    )
    (tmp_path / "t.tex").write_text(source, encoding="utf-8")
    options = ["-interaction=nonstopmode", "-halt-on-error"] if compiler == "pdflatex" else []
    subprocess.run([compiler, *options, "t.tex"], cwd=tmp_path, check=True, capture_output=True, timeout=600)
    assert (tmp_path / "t.pdf").stat().st_size > 1000


def test_html_is_well_formed_and_explains_its_metrics():
    text = render([table(published=88.5), table()], "html")
    found = page(text)
    assert found.tags.count("table") == 2 and "<script" not in text
    assert text.count('<abbr title="what it is">AUC 0</abbr>') == 2
    assert "<td><b>90.00 ± 1.23</b> <small>[88.0, 92.0]</small></td>" in text
    for rows in re.findall(r"<table>(.*?)</table>", text, re.S):
        body = rows.split("<tbody>")[1]
        widths = {
            sum(int(m or 1) for m in re.findall(r"<t[dh](?:[^>]*?colspan=\"(\d+)\")?[^>]*>", line))
            for line in re.findall(r"<tr>(.*?)</tr>", body)
        }
        assert len(widths) == 1


def test_csv_has_a_line_for_every_place_as_fractions():
    rows = list(csv.DictReader(io.StringIO(render([table(published=88.5), table("m", id="")], "csv"))))
    assert len(rows) == 12 and tuple(rows[0]) == CSV_COLUMNS
    first = rows[0]
    assert (first["table"], first["row"], first["published"], first["printed"]) == ("b/1", "method", "0.885", "88.5")
    assert (first["reproduced"], first["gap"], first["verdict"]) == ("0.9", "0.015", "within the interval")
    assert (first["seeds"], first["best"], rows[2]["tied"]) == ("0 1 2", "1", "1")
    assert {row["unit"] for row in rows} == {"fraction"}
    assert rows[-1]["table"] == "a table" and "a note" in rows[-1]["notes"]


def test_csv_tells_groups_of_a_leaderboard_apart_in_a_short_column():
    boards = [table(id="", group=word, rows=table().rows[:1]) for word in ("native-1", "native-validation-2")]
    boards = [b.model_copy(update={"rows": (b.rows[0].model_copy(update={"group": ""}),)}) for b in boards]
    rows = list(csv.DictReader(io.StringIO(render(boards, "csv"))))
    assert [row["group"] for row in rows] == ["native-1", "native-1", "native-validation-2", "native-validation-2"]
    assert len({(row["group"], row["row"], row["column"]) for row in rows}) == len(rows)


def test_csv_says_the_unit_that_its_figures_have():
    """Of milliseconds too: a fraction of a column printed in percent, milliseconds as they are."""
    columns = (
        TableColumn(title="AUC", dataset="d", metric="AUC"),
        TableColumn(title="t", dataset="d", metric="time_ms/total", unit="ms"),
    )
    cells = (cell(0.9), TableCell(published=PublishedFigure(value=4.98, printed="4.98")))
    drawn = Table(id="b/7", title="t", columns=columns, rows=(TableRow(label="m", cells=cells),))
    first, second = csv.DictReader(io.StringIO(render(drawn, "csv")))
    assert (first["unit"], first["reproduced"]) == ("fraction", "0.9")
    assert (second["unit"], second["published"]) == ("ms", "4.98")


def test_names_cannot_become_markup():
    drawn = table(
        HOSTILE, published=88.5, title=HOSTILE, note=HOSTILE, notes=(HOSTILE,), made=HOSTILE, missing=HOSTILE,
        columns=1,
    )  # fmt: skip
    column = TableColumn(title=HOSTILE, dataset="d", metric="AUC", definition=HOSTILE)
    drawn = drawn.model_copy(update={"columns": (column,)})
    found = page(render(drawn, "html"))
    assert "script" not in found.tags and any("<script>alert(1)</script>" in text for text in found.text)
    parse_latex(render(drawn, "latex"))
    lines = [line for line in render(drawn, "md").splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {6}
    assert "<script" not in render(drawn, "md")
    text = render(drawn, "text", styled=False)
    assert "\x1b" not in text and "\u202e" not in text
    assert len(list(csv.reader(io.StringIO(render(drawn, "csv"))))) == 4
    assert tables_from_json(render(drawn, "json")) == [drawn]


LETTERS = st.text(st.characters(codec="utf-8"), max_size=30)


@given(LETTERS)
def test_no_text_breaks_a_format(text):
    assert "\n" not in plain(text)
    assert not re.search(r"(?<!\\)\|", markdown(text).replace("\\\\", "")) and "<" not in markdown(text)
    assert not set(html_text(text)) & set('<>"')
    written = latex(text)
    bare = re.sub(r"\\[{}&%$#_]", "", written)
    assert bare.count("{") == bare.count("}") and bare.count("$") % 2 == 0
    assert not set(re.sub(r"\$\\(pm|approx|mathdollar)\$", "", bare)) & set('&%$#_^~<>|"')
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([spreadsheet(text), "end"])
    assert next(csv.reader(io.StringIO(out.getvalue())))[1] == "end"
    assert not spreadsheet(text).startswith(("=", "+", "-", "@"))


@given(LETTERS)
def test_any_name_can_stand_in_a_table(text):
    drawn = table(text)
    parse_latex(render(drawn, "latex"))
    page(render(drawn, "html"))
    assert tables_from_json(render(drawn, "json")) == [drawn]
    render(drawn, "text")


def test_notes_of_all_move_to_the_table_and_notes_of_a_row_to_the_row():
    def one(*notes):
        return TableCell(reproduced=ReproducedFigure(mean=0.5, seeds=(0,), notes=notes))

    rows = (
        TableRow(label="a", cells=(one("all", "row"), one("row", "all"))),
        TableRow(label="b", cells=(one("all", "x"), one("all"))),
    )
    columns = tuple(TableColumn(title="AUC", dataset="d", metric="AUC") for _ in range(2))
    shared = with_shared_notes(Table(title="t", columns=columns, rows=rows))
    assert shared.notes == ("all",)
    assert shared.rows[0].notes == ("row",) and shared.rows[1].notes == ()
    assert [c.reproduced.notes for c in shared.rows[1].cells] == [("x",), ()]
    assert [c.reproduced.notes for c in shared.rows[0].cells] == [(), ()]
