"""Sections for the check of a GPU that go wrong, each in its way."""

import os
import time


def sound(section):
    section.attempt("one", lambda: 1 / 0)
    section.attempt("two", lambda: "done")
    section.keep("two", wall=0.5, cpu=0.25)


def raises(section):
    section.keep("before", wall=1.0, cpu=1.0)
    raise ValueError("in two\nlines")


def dies(section):
    section.tell("begun")
    os._exit(3)


def endless(section):
    section.keep("before", wall=1.0, cpu=1.0)
    time.sleep(600)


def names(section):
    section.tell(" ".join(section.names(["vadclip", "absent", "mil"])))
    section.ends = 0.0
    section.tell(" ".join(section.names()))
