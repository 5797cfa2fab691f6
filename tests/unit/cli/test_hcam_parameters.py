"""How words of a HiPERCAM command line become values."""

import click
import pytest

from roque.errors import NotFound
from services.cli.hcam.combining import combine
from services.cli.hcam.genred import genred
from services.cli.hcam.parameters import FLAG, NUMBER, NUMBERS, TEXT, WHOLE, Parameter, in_file, out_file, resolve

RUN = Parameter("run", TEXT, "run005", "")
FIRST = Parameter("first", WHOLE, 1, "", least=0)
LAST = Parameter("last", WHOLE, lambda v: v["first"], "", least=lambda v: v["first"])
TRIM = Parameter("trim", FLAG, True, "")
NCOL = Parameter("ncol", WHOLE, 0, "", hidden=True, when=lambda v: v["trim"])
METHOD = Parameter("method", TEXT, "m", "", choices=("c", "m"))
ALL = (RUN, FIRST, LAST, TRIM, NCOL, METHOD)


def values(*words, of=ALL):
    return resolve(of, words).values


def test_defaults_are_taken_where_nothing_is_said_and_may_follow_values_before():
    assert values("first=4") == {"run": "run005", "first": 4, "last": 4, "trim": True, "ncol": 0, "method": "m"}


def test_values_come_in_the_order_of_asking():
    assert list(values("method=c", "trim=no", "run=a")) == ["run", "first", "last", "trim", "method"]


def test_bare_values_fill_what_is_not_named_and_not_hidden():
    assert values("first=2", "run0004", "7", "yes", "c") == {
        "run": "run0004", "first": 2, "last": 7, "trim": True, "ncol": 0, "method": "c",
    }  # fmt: skip


def test_the_word_prompt_lets_bare_values_reach_hidden_parameters():
    assert values("run0004", "2", "7", "yes", "3", "c", "prompt")["ncol"] == 3


def test_a_backslash_takes_the_defaults_of_all_that_follows_but_not_of_what_is_named():
    assert values("run0004", "\\", "method=c") == {
        "run": "run0004", "first": 1, "last": 1, "trim": True, "ncol": 0, "method": "c",
    }  # fmt: skip


def test_what_does_not_matter_is_left_out_even_if_it_is_named():
    assert "ncol" not in values("trim=no", "ncol=5")


def test_words_for_listing_and_memory_are_not_values():
    assert resolve(ALL, ["list", "nodefs", "run0004"]).told
    assert resolve(ALL, ["nodefs", "run0004"]).values["run"] == "run0004"


def test_an_unknown_parameter_is_refused_with_the_known_ones():
    with pytest.raises(click.UsageError, match=r"no parameter 'frist'; .* run, first, last, trim, ncol, method"):
        values("frist=1")


@pytest.mark.parametrize(
    "words",
    [
        ("first=-1",), ("first=one",), ("first=1.5",), ("first=3", "last=2"), ("trim=maybe",), ("method=x",),
        ("run=a", "run=b"),
        ("a", "1", "2", "no", "m", "more"), ("--bias",),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused(words):
    with pytest.raises(click.UsageError):
        values(*words)


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("Y", True), ("1", True), ("no", False), ("0", False)])
def test_flags_are_read_in_any_case(text, value):
    assert values(f"trim={text}")["trim"] is value


def test_min_and_max_stand_for_limits():
    parameter = Parameter("phi", NUMBER, 95.0, "", least=0.0, most=100.0)
    assert values("phi=max", of=[parameter]) == {"phi": 100.0}
    assert values("phi=min", of=[parameter]) == {"phi": 0.0}
    with pytest.raises(click.UsageError):
        values("phi=101", of=[parameter])


def test_lists_are_numbers_with_blanks_between():
    assert values("lower=3000 4e3", of=[Parameter("lower", NUMBERS, [0.0], "")]) == {"lower": [3000.0, 4000.0]}


def test_extensions_are_added_and_files_to_read_must_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flat.hcm").touch()
    flat, made = Parameter("flat", in_file(".hcm", none=True), "flat", ""), Parameter("output", out_file(".hcm"), "hcam", "")
    assert [str(path) for path in values("output=new.hcm", of=[flat, made]).values()] == ["flat.hcm", "new.hcm"]
    assert values("flat=none", of=[flat]) == {"flat": None}
    with pytest.raises(NotFound, match=r"dark\.hcm"):
        values("flat=dark", of=[flat])


def test_bare_values_pass_over_what_the_hipercam_pipeline_would_not_ask(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("files.lis", "run0004.ape", "usual.red"):
        (tmp_path / name).touch()
    median = resolve(combine.parameters, ["files", "none", "none", "none", "m", "b", "no", "out"]).values
    assert ("sigma" in median, median["adjust"], median["usemean"], median["output"].name) == (False, "b", False, "out.hcm")
    clipped = resolve(combine.parameters, ["files", "none", "none", "none", "c", "2.5", "i", "out"]).values
    assert (clipped["sigma"], clipped["adjust"], clipped["output"].name) == (2.5, "i", "out.hcm")
    told = resolve(genred.parameters, ["run0004", "a", "none", "none", "none", "none", "0", "usual"]).values
    assert (told["seeing"], told["template"].name, "binfac" in told) == (0.0, "usual.red", False)


def test_two_single_quotes_are_the_empty_text():
    assert values("run=''")["run"] == ""
