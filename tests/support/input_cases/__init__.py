"""Inputs of every kind and what becomes of them, as data: the tests run each case, and docs/inputs.md is written from
them, so that the page says what the tests have seen."""
