"""Open vocabulary: classes are texts, so those of another data set can be scored as well.

By default ``retarget`` makes the method anew for the other classes and loads what it has learned, which is nothing
here. A method that keeps more of its classes than their texts overrides it.
"""

from torch.nn.functional import normalize

from vadbench import MethodSpec, hookimpl
from vadbench.base.method_config import MethodConfig, Rows
from vadbench.base.needs import Needs
from vadbench.method import Method, Reach, Scores


@hookimpl
def vadbench_methods():
    return [MethodSpec("open-vocabulary", "CLIP's softmax over texts", "open_vocabulary:OpenVocabulary")]


class Config(MethodConfig):
    rows: Rows = Rows(stride=4)

    @property
    def open_vocabulary(self) -> bool:
        return True

    def needs(self) -> Needs:
        return Needs(text=True, supervision="training-free")


class OpenVocabulary(Method):
    Config = Config

    def __init__(self, config, task):
        super().__init__(config, task)
        texts = [f"a video of {words}" for words in task.classes.words]
        features = normalize(task.comparable_text()(texts), dim=-1)
        self.register_buffer("texts", features, persistent=False)  # the text tower has them: no part of a checkpoint

    def score(self, videos):
        cosines = (normalize(video.rows, dim=-1) @ self.texts.T for video in videos)
        return [Scores.from_classes((found / 0.01).softmax(-1), self.task.classes) for found in cosines]

    @property
    def reach(self) -> Reach:
        return Reach()
