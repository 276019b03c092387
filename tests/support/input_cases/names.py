"""Names of files and folders, and variables of the environment."""

import os
from functools import partial
from pathlib import Path

import pytest

from input_cases.cases import Case, Section
from vadbench.base.config import resolve
from vadbench.base.files import make_folder
from vadbench.base.locations import cache_root, find_data_root, tracks
from vadbench.base.method_config import MethodConfig
from vadbench.cli import with_home
from vadbench.tracking.address import tracking_address
from vadbench.watch.sources import find_sources, name_folders


def read(asked):
    """What a call gives under variables; the home folder is called HOME in it."""
    variables, call = asked
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", "/home/of/mine")
        for name, value in variables.items():
            patch.setenv(name, value)
        return str(call()).replace("/home/of/mine", "HOME"), ""


def under(call, **variables):
    return lambda folder: (variables, call)


def data_root(makes_itself=False):
    return find_data_root("ucfcrime", makes_itself)


def of_settings():
    return resolve(MethodConfig, {}, environment=os.environ).rows.stride


def results_of(name):
    """The folder of results of a video of a name."""

    def make(folder):
        path = os.fsencode(folder) + b"/" + name
        with open(path, "wb"):
            pass
        (source,) = find_sources([os.fsdecode(path)])
        return {}, lambda: name_folders(Path("out"), [source])[0]

    return make


def becomes(what, make, text):
    """A case of what a name or a variable stands for."""
    return Case(what, make, says=f"`{text}`", value=text)


def a_file_in_the_way(folder):
    (folder / "out").write_text("")
    return {}, partial(make_folder, folder / "out" / "runs")


NAMES = Section(
    "Names and environment",
    "HOME stands for your home folder. Within quotes, behind `=`, in env files and service units no shell expands `~`;"
    " vadbench does.",
    read,
    None,
    "",
    (
        becomes("`VADBENCH_CACHE=~/cache`", under(cache_root, VADBENCH_CACHE="~/cache"), "HOME/cache"),
        becomes("`VADBENCH_DATA=~/data`", under(data_root, VADBENCH_DATA="~/data"), "HOME/data/ucfcrime"),
        becomes(
            "`MLFLOW_TRACKING_URI=sqlite:///~/m.db`",
            under(lambda: tracking_address().file, MLFLOW_TRACKING_URI="sqlite:///~/m.db"),
            "HOME/m.db",
        ),
        *(
            becomes(f"the argument `{text}`", under(partial(with_home, text)), text.replace("~", "HOME"))
            for text in ("~/runs", "--out=~/runs", "audio=~/features")
        ),
        becomes("the argument `a/~/b~`", under(partial(with_home, "a/~/b~")), "a/~/b~"),
        becomes(
            "the argument `rtsp://camera/~/x`", under(partial(with_home, "rtsp://camera/~/x")), "rtsp://camera/~/x"
        ),
        Case(
            "`~nobody-there/runs`",
            under(partial(with_home, "~nobody-there/runs")),
            "refused",
            "names ~nobody-there, but no such user's home folder is known; write it out",
        ),
        becomes("`VADBENCH_SET__ROWS__STRIDE=4`", under(of_settings, VADBENCH_SET__ROWS__STRIDE="4"), "4"),
        Case(
            "`VADBENCH_SET__ROWS__STRID=4`",
            under(of_settings, VADBENCH_SET__ROWS__STRID="4"),
            "refused",
            "unknown setting 'rows.strid' in the environment; did you mean 'rows.stride'",
        ),
        Case(
            "`VADBENCH_SET__ROWS__STRIDE=many`",
            under(of_settings, VADBENCH_SET__ROWS__STRIDE="many"),
            "refused",
            "setting 'rows.stride' from the environment: ..., found 'many'",
        ),
        Case(
            "`VADBENCH_MLFLOW=of`", under(tracks, VADBENCH_MLFLOW="of"), "refused", "VADBENCH_MLFLOW must be on or off"
        ),
        Case(
            "a mistyped folder of a data set that makes itself",
            under(partial(data_root, makes_itself=True), VADBENCH_DATA="/no/such"),
            "refused",
            "VADBENCH_DATA names /no/such, which is no folder",
        ),
        becomes("results of `a b#&'.mp4`", results_of(b"a b#&'.mp4"), "out/a_b#"),
        becomes("results of `10:15:00.mp4`", results_of(b"10:15:00.mp4"), "out/10_15_00"),
        becomes("results of `-..mp4`", results_of(b"-..mp4"), "out/-"),
        becomes("results of a name that is not UTF-8", results_of(b"t\xfcr.mp4"), "out/t_r"),
        becomes("results of a name of 251 letters", results_of(b"x" * 247 + b".mp4"), "out/" + "x" * 80),
        Case(
            "`--out` where nobody may write",
            under(partial(make_folder, Path("/sys/vadbench"))),
            "refused",
            "cannot write /sys/vadbench: ...; choose another folder and run the same command again",
        ),
        Case("`--out` below a file", a_file_in_the_way, "refused", "a file stands where a folder is needed"),
    ),
)
