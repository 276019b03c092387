import inspect

from vadbench import errors


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
