"""The runs that a name stands for: a folder, a key, a label, or a folder of runs and what to choose of it.

``synthetic/mil[selection=score]`` are the runs of that setting; without brackets those of the default settings are
meant, whatever others are beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from vadbench.base.errors import RunError, UnknownNameError, did_you_mean, listed
from vadbench.base.locations import BEGUN
from vadbench.base.text import plain
from vadbench.records.experiments import experiments, of_defaults, seeds, spelt, unusual
from vadbench.records.folders import EVALUATIONS, read_record, run_folders
from vadbench.records.record import CHECKPOINT_INFO, RESULT, RunRecord
from vadbench.records.run_facts import differences, has, named_facts, some

_FILES = (RESULT, CHECKPOINT_INFO)
"""What shows that a folder is that of a run."""


@dataclass(frozen=True)
class NamedRuns:
    """What a name stands for.

    Args:
        found: folders with their records.
        notes: what was left out, or is beside them.
    """

    found: dict[Path, RunRecord]
    notes: list[str] = field(default_factory=list)


def find_run(name: str, out: Path) -> Path:
    """Return the folder with the one record that a name stands for, or with imported weights that have none yet.

    Args:
        name: as for :func:`find_runs`.
        out: folder of run folders.

    Raises:
        RunError: nothing or more than one run matches.
    """
    place = _Place.of(name, out)
    if len(place.folders) == 1 and not place.wanted:
        return place.folders[0]
    read = _read(place.folders)
    found = list(_chosen(place, read).found) if read.found else place.folders
    if len(found) == 1:
        return found[0]
    raise RunError(f"no single run called '{name}': name one of {listed(found, 5)}")


def find_runs(name: str, out: Path, finished: bool = False, begun: bool = False) -> NamedRuns:
    """Return the runs that a name stands for.

    Args:
        name: a run folder; a folder with the runs of a method on a data set, such as ``synthetic/mil``; the beginning
            of a key, or of two for an evaluation (``1f0c/7ab2``); or a label. After the last two, settings or a label
            in brackets choose some (``synthetic/mil[selection=score]``, ``synthetic/mil[seed=0]``). Several have
            commas between them.
        out: folder of run folders.
        finished: leave the others out, with a note on each.
        begun: also trainings that have begun and have no record yet, with what they wrote down.

    Raises:
        RunError: nothing matches, or the runs of a folder or a label are of several experiments, none of which has the
            default settings.
        UnknownNameError: no such run has a setting that the brackets name.
    """
    found: dict[Path, RunRecord] = {}
    notes: list[str] = []
    for part in [name] if Path(name).exists() else split_names(name):
        place = _Place.of(part, out, _FILES + ((BEGUN,) if begun else ()))
        records = (RESULT, BEGUN) if begun else (RESULT,)
        if not any((folder / file).is_file() for folder in place.folders for file in records):
            weights = place.folders[0]
            raise RunError(f"{weights} holds weights that were not evaluated; run vadbench run --from {weights} first")
        read = _read(place.folders, records)
        if finished:
            read = _finished(read)
        if read.found:
            read = NamedRuns((some := _chosen(place, read)).found, [*read.notes, *some.notes])
        there = {folder.resolve() for folder in found}
        found |= {folder: record for folder, record in read.found.items() if folder.resolve() not in there}
        notes += read.notes
    if not found:
        raise RunError(f"'{name}' has no {'finished run' if finished else 'run that can be read'}: {'; '.join(notes)}")
    return NamedRuns(found, notes)


def split_names(text: str) -> list[str]:
    """Split names at the commas that are in no brackets.

    >>> split_names("1f0c, synthetic/mil[a=1,b=2],x")
    ['1f0c', 'synthetic/mil[a=1,b=2]', 'x']
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "[") - (letter == "]")
        if letter == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


@dataclass(frozen=True)
class _Place:
    """The folders that a name leads to, before the brackets and the defaults choose among them.

    ``several``: the folders may be of several experiments. ``labelled``: they have a label, which has no default.
    """

    name: str
    base: str
    wanted: Sequence[str]
    folders: Sequence[Path]
    several: bool
    labelled: bool = False

    @classmethod
    def of(cls, name: str, out: Path, files: Sequence[str] = _FILES) -> _Place:
        base, wanted = (name, []) if Path(name).exists() else _divided(name)
        places = (Path(base), out / base) if base else ()
        for place in places:
            if any((place / file).is_file() for file in files):
                return cls(name, base, wanted, [place], False)
            if place.is_dir() and (folders := _runs_in(place, files)):
                return cls(name, base, wanted, folders, True)
        if keyed := _by_key(base, out, files):
            return cls(name, base, wanted, [keyed], False)
        labels = _labels(out, files)
        if base in labels:
            return cls(name, base, wanted, labels[base], True, labelled=True)
        for place in places:
            if place.is_dir():
                raise RunError(
                    f"no runs in {place}: expected a run folder, or the folder of one method on one data set"
                )
        known = {*labels, *(f.parent.relative_to(out).as_posix() for f in run_folders(out, "*/*/*"))}
        close = did_you_mean(base, known) if get_close_matches(base, known, n=1) else ""
        raise RunError(
            f"no single run called '{name}': expected a run folder, a key or a label under {out}, found none{close}"
        )


def _divided(name: str) -> tuple[str, list[str]]:
    """Return a name without its brackets, and what they name.

    >>> _divided('synthetic/mil[streams=["clip", "audio"],seed=0]')
    ('synthetic/mil', ['streams=["clip", "audio"]', 'seed=0'])
    """
    base, bracket, inner = name.partition("[")
    if not bracket or not inner.endswith("]"):
        return name, []
    return base, [item for item in split_names(inner[:-1]) if item]


def _runs_in(place: Path, files: Sequence[str]) -> list[Path]:
    return sorted({folder for file in files for folder in run_folders(place, "*", file=file)})


def _by_key(name: str, out: Path, files: Sequence[str]) -> Path | None:
    key, _, evaluation = name.partition("/")
    if not key:
        return None
    runs = {folder for file in files for folder in run_folders(out, file=file)}
    matches = sorted(f for f in runs if f.name.startswith(key) and f.parent.name != EVALUATIONS)
    if evaluation:
        matches = [f for match in matches for f in run_folders(match / EVALUATIONS, f"{evaluation}*")]
    if len(matches) > 1:
        raise RunError(f"no single run called '{name}': several keys begin so, {listed(matches, 5)}")
    return matches[0] if matches else None


def _labels(out: Path, files: Sequence[str]) -> dict[str, list[Path]]:
    """Return the folders of the runs that have a label, by label."""
    found: dict[str, list[Path]] = {}
    records = [file for file in files if file in (RESULT, BEGUN)]
    folders = sorted({folder for file in records for folder in run_folders(out, file=file)})
    for folder, record in _read(folders, records, strict=False).found.items():
        if record.label:
            found.setdefault(record.label, []).append(folder)
    return found


def _read(folders: Sequence[Path], records: Sequence[str] = (RESULT,), strict: bool = True) -> NamedRuns:
    """Return the record of each folder, the first of these files that is there."""
    found, notes = {}, []
    for folder in folders:
        try:
            file = next((name for name in records if (folder / name).is_file()), RESULT)
            found[folder] = read_record(folder, file)
        except RunError as error:
            if strict and len(folders) == 1:
                raise
            notes.append(f"left out: {error}")
    return NamedRuns(found, notes)


def _finished(read: NamedRuns) -> NamedRuns:
    found = {folder: record for folder, record in read.found.items() if record.status == "finished"}
    left = [f"left out: {f} holds a {r.status} run; run it again" for f, r in read.found.items() if f not in found]
    return NamedRuns(found, [*read.notes, *left])


def _chosen(place: _Place, read: NamedRuns) -> NamedRuns:
    """Return the runs that the brackets choose, of several experiments the one of default settings.

    Raises:
        RunError: the brackets choose none, or there is not one experiment of default settings.
        UnknownNameError: no run has a setting that the brackets name.
    """
    known = {name for record in read.found.values() for name in named_facts(record)}
    for item in place.wanted:
        key, sign, _ = item.partition("=")
        if sign and key not in known:
            raise UnknownNameError("setting of these runs", key, known)
    found = {f: r for f, r in read.found.items() if all(has(r, item) for item in place.wanted)}
    groups = experiments(found or read.found)
    if not found:
        raise RunError(f"'{place.name}' chooses no run; there are {spelt(place.base, groups)}")
    named = [item.partition("=")[0] for item in place.wanted]
    what = "no other settings" if place.wanted else "default settings"
    if len(groups) == 1 or not place.several:
        others = [] if place.labelled or not place.several else unusual(next(iter(groups[0].values())), named)
        told = f"'{place.name}' stands for runs of {plain(some(others))} ({seeds(groups[0])}): none is of {what}"
        return NamedRuns(found, [told] if others else [])
    meant = [] if place.labelled else of_defaults(groups, named)
    if len(meant) != 1:
        one, other = (next(iter(group.items())) for group in (meant or groups)[:2])
        raise RunError(
            f"'{place.name}' holds runs that are not seeds of one: {one[0].name} and {other[0].name} differ in"
            f" {some(differences(one[1], other[1]))}; name one of {spelt(place.base, groups)}"
        )
    beside = spelt(place.base, [group for group in groups if group is not meant[0]])
    told = f"'{place.name}' stands for the runs of {what}; beside them: {beside}"
    return NamedRuns(meant[0], [told])
