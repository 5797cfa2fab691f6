"""Preparing a reduction: recipe, apertures and masters of a run are settled, once, for all its frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from roque import __version__
from roque.archive import models
from roque.archive.aperture_sets import store_apertures
from roque.archive.hints import refuse_faulty
from roque.archive.open import MasterReference, load_masters, master_contents, named_file, open_run
from roque.archive.recipes import digest
from roque.calibration.apply import Calibrator, Masters
from roque.errors import BadInput, Superseded
from roque.frames import Frame
from roque.instruments import CameraDescription, cameras
from roque.jobs.handlers import Context, JobSnapshot, Outcome
from roque.jobs.kinds import ALGORITHM, Kind, PrepareReduction
from roque.jobs.outbox import clock, emit
from roque.jobs.planner import advance
from roque.jobs.standing import outdo, take_up
from roque.photometry import apertures as aperture_files
from roque.photometry import reduce_file as reduce_files
from roque.photometry.apertures import Apertures
from roque.photometry.automatic import automatic_apertures, frames_needed
from roque.photometry.defaults import default_recipe
from roque.photometry.recipe import Recipe
from roque.photometry.recipe_files import calibration_names

__all__ = ["prepare"]

NAME_LENGTH = 8
"""Letters of the key that name a reduction: what a paper cites."""


@dataclass(frozen=True)
class _Settled:
    """What a reduction is done with."""

    recipe: Recipe
    apertures: Apertures
    target: str
    origin: str  # automatic, file
    source: str
    notes: list[str]


def prepare(context: Context, job: JobSnapshot) -> Outcome:
    """Settle what a run is reduced with, and make the reduction."""
    wanted = job.parameters
    if not isinstance(wanted, PrepareReduction):
        raise TypeError(f"not the parameters of a preparation: {wanted!r}")
    refuse_faulty(wanted.hints)
    known = cameras(context.settings.cameras)
    with context.record.reading() as session:
        run = session.get_one(models.Run, wanted.run_id)
        files = list(run.files)
        row = session.get_one(models.Recipe, wanted.recipe_id)
        references = {**wanted.masters, **_named(wanted.hints)}
        contents = master_contents(session, references)
        masters = Masters(**load_masters(session, references, context.products))
    if run.state == "superseded":
        raise Superseded("the run was replaced by a newer version", file=run.path)
    with open_run(run, files, context.settings.cache, known) as source:
        number = min(frames_needed(run.nskips), source.available)
        frames = [source.frame(place) for place in range(1, number + 1)]
        settled = _settle(run, row, frames, masters, wanted.hints, known[run.instrument.name])
    return _outcome(run, row, settled, wanted, references, contents)


def _named(hints: Mapping[str, Any]) -> dict[str, MasterReference]:
    """Calibration frames that a reduce file names; they lie beside it."""
    said = hints.get("reduce_file")
    if said is None:
        return {}
    names = calibration_names(reduce_files.loads(said["text"], file=said["file"]))
    folder = Path(said["file"]).parent
    return {kind: named_file(folder / names[kind]) for kind in ("bias", "dark", "flat") if names[kind]}


def _settle(
    run: models.Run,
    row: models.Recipe,
    frames: list[Frame],
    masters: Masters,
    hints: Mapping[str, Any],
    camera: CameraDescription,
) -> _Settled:
    said = hints.get("reduce_file"), hints.get("apertures")
    if all(said):
        apertures = aperture_files.loads(said[1]["text"], file=said[1]["file"])
        recipe = Recipe.from_reduce_file(reduce_files.loads(said[0]["text"], apertures, file=said[0]["file"]))
        return _Settled(recipe, apertures, _first_label(apertures), "file", said[1]["file"], [])
    levels = {name: camera.detector(name) for name in frames[0].ccds}
    usual = camera.detector(camera.reference)
    calibrator = Calibrator(masters, frames[0], readout=usual.read_noise, gain=usual.gain)
    target = hints.get("target")
    found = automatic_apertures(
        frames,
        calibrator,
        run=run.path,
        gain={name: d.gain for name, d in levels.items()},
        saturation={name: d.saturation for name, d in levels.items()},
        target=tuple(target) if target else None,
    )
    recipe = default_recipe(camera, found, binning=max(run.xbin, run.ybin))
    recipe = recipe.changed({name: value for name, value in row.parameters.items() if _concerns(name, recipe)})
    if said[1]:
        apertures = aperture_files.loads(said[1]["text"], file=said[1]["file"])
        return _Settled(recipe, apertures, _first_label(apertures), "file", said[1]["file"], found.notes)
    if said[0]:
        recipe = Recipe.from_reduce_file(reduce_files.loads(said[0]["text"], found.apertures, file=said[0]["file"]))
    return _Settled(recipe, found.apertures, found.target, "automatic", f"stars of the first {len(frames)} frames", found.notes)


def _concerns(name: str, recipe: Recipe) -> bool:
    """Whether a parameter is about this run: not if it is of a CCD that shows no star."""
    section, _, rest = name.partition(".")
    ccd = rest.partition(".")[0]
    return section not in ("extraction", "detectors") or ccd == "*" or ccd in recipe.extraction


def _first_label(apertures: Apertures) -> str:
    """Label of the target in an aperture file: the custom is that it comes first."""
    for members in apertures.values():
        for label in members:
            return label
    raise BadInput("the aperture file has no aperture", remedy="place one, or leave the file out")


def _outcome(
    run: models.Run,
    row: models.Recipe,
    settled: _Settled,
    wanted: PrepareReduction,
    references: dict[str, MasterReference],
    contents: dict[str, str | None],
) -> Outcome:
    parameters = settled.recipe.to_dict()
    made_of = {
        "run": [run.path, run.version],
        "parameters": parameters,
        "apertures": aperture_files.dumps(settled.apertures),
        "masters": contents,
        "hints": wanted.hints,
        "recipe": row.digest,
        "algorithm": [ALGORITHM[Kind.PREPARE_REDUCTION], ALGORITHM[Kind.REDUCE_RANGE]],
    }
    key = digest(made_of)
    named = {kind: f"named in the reduce file: {one['file']}" for kind, one in references.items() if isinstance(one, dict)}
    choices = {**wanted.choices, **named}

    def store(session: Session) -> None:
        now = clock(session)
        made = session.scalar(select(models.Reduction).where(models.Reduction.key == key))
        if made is not None:
            made.masters, made.choices = references, choices  # the same bytes by other names
            take_up(session, made)
            advance(session, made, now)
            return
        under_way = select(models.Reduction.id).where(models.Reduction.run_id == run.id, models.Reduction.state == "running")
        outdo(session, session.scalars(under_way).all())
        reduction = models.Reduction(
            name=_free_name(session, key),
            key=key,
            run_id=run.id,
            recipe_id=row.id,
            parameters=parameters,
            aperture_set=store_apertures(session, settled.apertures, settled.origin, settled.source, now),
            target=settled.target,
            hints=wanted.hints,
            masters=references,
            choices=choices,
            notes=[{"kind": "apertures", "text": note} for note in settled.notes],
            code_version=__version__,
            created_at=now,
        )
        session.add(reduction)
        session.flush()
        emit(session, "reduction.begun", {"run": run.path, "reduction": reduction.name})
        advance(session, session.get_one(models.Reduction, reduction.id), now)

    return Outcome(store, {"reduction": key[:NAME_LENGTH]})


def _free_name(session: Session, key: str) -> str:
    """Shortest beginning of a key that no other reduction has for its name."""
    taken = set(session.scalars(select(models.Reduction.name).where(models.Reduction.name.startswith(key[:NAME_LENGTH]))))
    return next(key[:length] for length in range(NAME_LENGTH, len(key)) if key[:length] not in taken)
