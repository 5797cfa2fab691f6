"""Preparing a reduction: recipe, apertures and masters of a run are settled, once, for all its frames."""

from __future__ import annotations

from collections.abc import Mapping
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
from roque.calibration.apply import Masters
from roque.errors import BadInput, Superseded
from roque.instruments import cameras
from roque.instruments.known import named
from roque.jobs.handlers import Context, JobSnapshot, Outcome
from roque.jobs.kinds import ALGORITHM, Kind, PrepareReduction
from roque.jobs.outbox import clock, emit
from roque.jobs.planner import advance
from roque.jobs.standing import outdo, take_up
from roque.photometry import apertures as aperture_files
from roque.photometry import reduce_file as reduce_files
from roque.photometry.beginning import frames_needed
from roque.photometry.recipe import Recipe
from roque.photometry.recipe_files import calibration_names
from services.reducer.frames import readable_frames
from services.reducer.settle import Settled, settle

__all__ = ["prepare"]

NAME_LENGTH = 8
"""Letters of the key that name a reduction: what a paper cites."""


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
        lost: list[BadInput] = []
        frames = list(readable_frames(source, 1, number, lost, job.go_on))
        if not frames:
            raise lost[0]
        settled = settle(run, row, frames, masters, wanted.hints, named(run.instrument.name, known).as_in(run.header))
    more = _named_in(settled.recipe, _folder(run, wanted.hints))
    references |= more
    contents |= {kind: reference["sha256"] for kind, reference in more.items()}
    return _outcome(run, row, settled, wanted, references, contents)


def _named(hints: Mapping[str, Any]) -> dict[str, MasterReference]:
    """Calibration frames that a reduce file names; they lie beside it."""
    said = hints.get("reduce_file")
    if said is None:
        return {}
    names = calibration_names(reduce_files.loads(said["text"], file=said["file"]))
    folder = Path(said["file"]).parent
    return {kind: named_file(folder / names[kind]) for kind in ("bias", "dark", "flat") if names[kind]}


def _folder(run: models.Run, hints: Mapping[str, Any]) -> Path:
    """Folder in which the files that a recipe names are looked for."""
    said = hints.get("reduce_file")
    return Path(said["file"] if said else run.files[0].path).parent


def _named_in(recipe: Recipe, folder: Path) -> dict[str, dict[str, str]]:
    """Frames of read noise and gain, and bad pixels, that a recipe names."""
    return {kind: named_file(folder / name) for kind, name in recipe.named_files().items()}


def _outcome(
    run: models.Run,
    row: models.Recipe,
    settled: Settled,
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
    named = {
        kind: f"named in the recipe or reduce file: {one['file']}" for kind, one in references.items() if isinstance(one, dict)
    }
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
            notes=settled.notes,
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
