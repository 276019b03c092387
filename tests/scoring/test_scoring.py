"""What a method's scores are checked for before they are kept."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vadbench.base.errors import PluginError
from vadbench.base.method_config import MethodConfig
from vadbench.base.needs import Needs
from vadbench.dataset import ClassTable, VideoClass
from vadbench.inputs import VideoInput
from vadbench.method import Method, Scores, Task
from vadbench.scoring.checks import checked
from vadbench.scoring.scoring import score_videos

METHOD = SimpleNamespace(task=SimpleNamespace(classes=["Normal", "Fire"]))
VIDEO = VideoInput.of_rows(np.zeros((3, 4), np.float32), "v", stride=10)


@pytest.mark.parametrize("name", ["", "a(b)", "a[b]", "a/b", "a.npy", "a  b", " a", "a\n", "(a)"])
def test_a_branch_whose_name_no_metric_key_can_carry_is_refused(name):
    scores = Scores(torch.zeros(3), branches={"good": torch.zeros(3), name: torch.zeros(3)})
    with pytest.raises(PluginError, match=r"a branch name has letters.*rename it") as error:
        checked(METHOD, VIDEO, scores)
    assert repr(name) in str(error.value) and len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["anomaly scores", "class scores", "align", "class agnostic", "top-5", "größe_2"])
def test_a_branch_may_be_called_as_messages_call_other_scores(name):
    """Every array is checked, also that of a branch called like another one."""
    bad = Scores(torch.full((3,), torch.nan), branches={name: torch.zeros(3)})
    with pytest.raises(PluginError, match="anomaly scores of v are not all finite"):
        checked(METHOD, VIDEO, bad)
    good = checked(METHOD, VIDEO, Scores(torch.zeros(3), branches={name: torch.ones(3)}))
    assert good.branches[name].tolist() == [1, 1, 1]


@pytest.mark.parametrize("company", ["none", "split"])
@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda videos: [torch.zeros(video.row_count) for video in videos], "found Tensor"),
        (lambda videos: torch.zeros(len(list(videos)), 3), "for each video, in a list, found Tensor"),
        (lambda videos: Scores(torch.zeros(3)), "for each video, in a list, found Scores"),
        (lambda videos: None, "for each video, in a list, found NoneType"),
    ],
)
def test_what_is_not_scores_is_named(answer, found, company):
    class Own(Method):
        def score(self, videos):
            return answer(videos)

    class Config(MethodConfig):
        def needs(self):
            return Needs(company=company)

    table = ClassTable((VideoClass("Normal"), VideoClass("Fire")), 0)
    method = Own(Config(), Task(table, 4, torch.device("cpu"), None))
    with pytest.raises(PluginError, match=rf"score\(\) of Own must return Scores.*{found}$"):
        score_videos(method, [[VIDEO]])
