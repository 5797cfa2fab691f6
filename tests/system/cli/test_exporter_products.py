"""The exporter writes the files of a reduction as products."""

import json

import pytest
from sqlalchemy import select

from roque.archive.models import Aperture, Measurement, Product, Reduction
from roque.jobs.handlers import Context, JobSnapshot
from roque.jobs.kinds import ExportReduction, Kind
from roque.lightcurves.hlog import Hlog
from roque.settings import Settings
from services.exporter.app import HANDLERS, KINDS


@pytest.fixture
def export(filled):
    context = Context(filled.record, Settings(home=filled.home), filled.products)

    def run():
        job = JobSnapshot(
            id=filled.jobs["waiting"], kind=Kind.EXPORT_REDUCTION, key="k", parameters=ExportReduction(reduction_id=1),
            run_id=3, reduction_id=1, attempt=1, go_on=lambda: None,
        )  # fmt: skip
        outcome = HANDLERS[Kind.EXPORT_REDUCTION](context, job)
        with filled.record.writing() as session:
            outcome.store(session)
        return outcome.result

    return run


def current(filled):
    with filled.record.reading() as session:
        wanted = select(Product).where(Product.reduction_id == 1, Product.state == "current")
        return {product.kind: product for product in session.scalars(wanted)}


def test_a_reduction_gives_log_fits_log_light_curve_and_picture(export, filled):
    export()
    made = current(filled)
    assert set(made) == set(KINDS)
    for product in made.values():
        filled.products.verify(product)
        assert product.inputs[0] | {"kind": "reduction", "name": filled.reduction} == product.inputs[0]
    assert len(Hlog.from_ascii(filled.products.path(made["log"].uri))["1"]) == 20
    assert len(Hlog.from_fits(filled.products.path(made["fits_log"].uri))["2"]) == 20


def test_the_log_that_was_there_is_superseded(export, filled):
    before = current(filled)["log"].id
    export()
    assert current(filled)["log"].id != before
    with filled.record.reading() as session:
        assert session.get_one(Product, before).state == "superseded"


def test_doing_it_again_makes_nothing_new(export, filled):
    export()
    before = {kind: product.id for kind, product in current(filled).items()}
    export()
    assert {kind: product.id for kind, product in current(filled).items()} == before


def test_a_file_exported_by_hand_is_that_of_the_exporter(export, filled, roque, tmp_path, monkeypatch):
    export()
    monkeypatch.chdir(tmp_path)
    for words in (("hlog", "export", "run0003", "--format", "fits"), ("lightcurve", "plot", "run0003")):
        assert roque(*words).exit_code == 0
    for name, kind in (("run0003.fits", "fits_log"), ("run0003.png", "light_curve_plot")):
        assert json.loads(roque("trace", name, "--json").stdout)["what"] == kind


def test_a_single_star_has_a_log_and_no_picture(export, filled):
    with filled.record.writing() as session:
        for model, label in ((Measurement, Measurement.aperture), (Aperture, Aperture.label)):
            session.execute(model.__table__.delete().where(label != "1"))
    result = export()
    made = current(filled)
    assert set(made) == {"log", "fits_log", "light_curve"}
    assert "no point" in result["light_curve_plot"]


def test_files_of_a_reduction_that_was_replaced_are_superseded(export, filled):
    export()
    with filled.record.writing() as session:
        old = session.get_one(Reduction, 1)
        old.state = "superseded"
        columns = {
            c.key: getattr(old, c.key) for c in Reduction.__table__.columns if c.key not in ("id", "name", "key", "state")
        }
        session.add(Reduction(**columns, name="new", key="n" * 64, state="done"))
        session.flush()
    context = Context(filled.record, Settings(home=filled.home), filled.products)
    job = JobSnapshot(
        id=filled.jobs["waiting"], kind=Kind.EXPORT_REDUCTION, key="k2", parameters=ExportReduction(reduction_id=2), run_id=3,
        reduction_id=2, attempt=1, go_on=lambda: None,
    )  # fmt: skip
    outcome = HANDLERS[Kind.EXPORT_REDUCTION](context, job)
    with filled.record.writing() as session:
        outcome.store(session)
    assert current(filled) == {}
