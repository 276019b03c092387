import inspect

import pytest
from pydantic import BaseModel, ValidationError, model_validator

from vadbench.base import errors


def test_unknown_names_offer_close_ones():
    message = str(errors.UnknownNameError("method", "anomalyclop", ["random", "anomalyclip"]))
    assert message == "unknown method 'anomalyclop'; did you mean 'anomalyclip'?"


def test_unknown_names_without_a_close_one_list_all():
    assert str(errors.UnknownNameError("method", "x", ["b", "a"])) == "unknown method 'x'; known: a, b"


def test_every_error_is_in_the_tree_of_the_module_docstring():
    classes = [c for _, c in inspect.getmembers(errors, inspect.isclass) if c.__module__ == errors.__name__]
    assert len(classes) > 10
    for c in classes:
        assert issubclass(c, errors.VadbenchError)
        assert c.__name__ in errors.__doc__
        assert c.__doc__


class Record(BaseModel):
    name: str
    sizes: list[int] = []

    @model_validator(mode="after")
    def _short(self):
        if len(self.sizes) > 2:
            raise ValueError("at most two sizes")
        return self


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "name: Field required"),
        (
            {"name": "a", "sizes": ["x"]},
            "sizes.0: Input should be a valid integer, unable to parse string as an integer",
        ),
        ({"name": ["word"] * 500}, "name: Input should be a valid string, found ['word', "),
        ({"name": "a", "sizes": [1, 2, 3]}, "at most two sizes"),
    ],
)
def test_a_complaint_of_pydantic_is_one_short_sentence(content, said):
    with pytest.raises(ValidationError) as error:
        Record.model_validate(content)
    found = errors.first_complaint(error.value)
    assert found.startswith(said) and len(found) < 150 and "\n" not in found


def test_what_is_left_out_of_a_list_is_counted(tmp_path):
    assert errors.listed(range(9), 5) == "0, 1, 2, 3, 4 and 4 more"
    assert errors.listed([], 5) == ""
    from vadbench.records.run_names import find_run

    for i in range(7):
        (tmp_path / f"same{i}").mkdir()
        (tmp_path / f"same{i}" / "result.json").touch()
    with pytest.raises(errors.RunError, match=r"same4 and 2 more$"):
        find_run("same", tmp_path)
