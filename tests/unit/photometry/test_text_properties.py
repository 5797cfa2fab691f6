"""Aperture and reduce files of any content: what is written is read again, and any text is an answer or `BadInput`."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from roque.errors import BadInput
from roque.photometry import reduce_file
from roque.photometry.apertures import Aperture, dumps, loads
from roque.photometry.recipe import Recipe
from roque.photometry.reduce_text import finite, parse
from tests.support.damage import check_told

FLOATS = st.floats(-1e6, 1e6)
LABELS = st.from_regex(r"\A[0-9a-zA-Z]{1,4}\Z").filter(lambda label: label != "0")
APERTURES = st.builds(
    Aperture,
    *[FLOATS] * 5,
    ref=st.booleans(),
    compo=st.booleans(),
    mask=st.lists(st.tuples(FLOATS, FLOATS, FLOATS), max_size=2).map(tuple),
    extra=st.lists(st.tuples(FLOATS, FLOATS), max_size=2).map(tuple),
)
KEYS = st.sampled_from(["x", "y", "rtarg", "rsky1", "rsky2", "link", "mask", "extra"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner),
    max_leaves=12,
)
FILES = JSON.map(lambda values: ["hipercam.MccdAper", ["1", ["hipercam.CcdAper", ["1", values]]]])
VALUES = st.from_regex(r"\A[!-\"$-<>-Z^-~][ -\"$-Z^-~]{0,20}\Z").map(str.strip).filter(lambda text: text and "=" not in text)


@given(st.dictionaries(LABELS, st.dictionaries(LABELS, APERTURES, min_size=1, max_size=4), max_size=3), st.randoms())
@settings(max_examples=150, deadline=None)
def test_apertures_come_back_as_they_were(apertures, random):
    linked = {}
    for ccd, members in apertures.items():
        first, *others = members
        to = {label: first if random.random() < 0.5 else "" for label in others}
        linked[ccd] = {
            label: Aperture(**{**{f: getattr(a, f) for f in a.__dataclass_fields__}, "link": to.get(label, "")})
            for label, a in members.items()
        }
    assert loads(dumps(linked)) == linked


@given((JSON | FILES).map(json.dumps) | st.text(max_size=60))
@settings(max_examples=400, deadline=None)
def test_any_text_is_apertures_or_bad_input(text):
    try:
        found = loads(text, file="a.ape")
    except BadInput as error:
        check_told(error, "a.ape")
        return
    numbers = [
        getattr(a, name) for own in found.values() for a in own.values() for name in ("x", "y", "rtarg", "rsky1", "rsky2")
    ]
    assert all(map(math.isfinite, numbers))
    assert loads(dumps(found)) == found


@given(st.dictionaries(LABELS, st.lists(st.tuples(LABELS, VALUES), max_size=5), max_size=4))
@settings(max_examples=200, deadline=None)
def test_sections_and_values_come_back_in_order_with_their_lines(sections):
    lines = ["# a reduce file"]
    wanted = {}
    for name, pairs in sections.items():
        lines.append(f" [{name}] # a section")
        wanted[name] = {}
        for key, value in pairs:
            lines.append(f"{key} = {value}  # said")
            wanted[name].setdefault(key, []).append((value, len(lines)))
    found = parse("\n".join(lines), "a.red")
    assert {
        name: {key: [(e.text, e.line) for e in own] for key, own in keys.items()} for name, keys in found.sections.items()
    } == wanted


@given(st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_refused_as_a_reduce_file_with_its_place(text):
    with pytest.raises(BadInput) as error:
        reduce_file.loads(text, file="a.red")
    check_told(error.value, "a.red")


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_reduce_file_with_any_value_anywhere_is_a_recipe_or_bad_input(golden, data):
    lines = (golden / "hipercam" / "peer" / "A_biasonly.red").read_text().splitlines()
    at = data.draw(st.sampled_from([i for i, line in enumerate(lines) if "=" in line.partition("#")[0]]))
    key = lines[at].partition("=")[0]
    value = data.draw(
        st.text(max_size=15) | st.floats().map(repr) | st.integers().map(str) | st.sampled_from(["yes", "1e400", "!", "1 2"])
    )
    lines[at] = f"{key}= {value}"
    try:
        recipe = Recipe.from_reduce_file(reduce_file.loads("\n".join(lines), file="a.red"))
    except BadInput as error:
        assert error.place  # noqa: PT017 - of a recipe's value, which is in no file
        return
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict(), allow_nan=False))) == recipe


@given(st.text(max_size=12) | st.floats().map(repr))
@settings(max_examples=200, deadline=None)
def test_a_number_is_what_python_reads_if_it_is_finite(text):
    try:
        wanted = float(text)
    except ValueError:
        wanted = math.nan
    assert finite(text) == (wanted if math.isfinite(wanted) else None)
