"""A scratch plugin for tests of post-processing: a method that proposes some, and one whose proposal cannot be read."""

import os

from tiny_plugin import Config, Linear
from vadbench import MethodSpec, hookimpl


@hookimpl
def vadbench_methods():
    return [
        MethodSpec("smoothed", "the logistic regression, smoothed", "post_plugin:Smoothed"),
        MethodSpec("misread", "the same, with steps that do not exist", "post_plugin:Misread"),
    ]


class SmoothedConfig(Config):
    def post(self):
        return os.environ.get("SMOOTHED_POST", "gaussian( 2.0 )")


class Smoothed(Linear):
    Config = SmoothedConfig


class MisreadConfig(Config):
    def post(self):
        return "smooth(2)"


class Misread(Linear):
    Config = MisreadConfig
