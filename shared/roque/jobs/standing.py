"""What stands of what was made: a reduction or a master that still is what its run should have is not made again."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from roque.archive.models import Job, Master, Product, Recipe, Reduction, Run
from roque.archive.provenance import raw_inputs
from roque.jobs import life
from roque.jobs.calibrations import MasterChoice

__all__ = ["master_stands", "outdo", "reinstate_products", "standing_reduction", "take_up"]


def standing_reduction(session: Session, run: Run, recipe: Recipe, choice: MasterChoice) -> Reduction | None:
    """Find a reduction of a run that still is what the run should have; one that was given up before may be that again.

    Same parameters, same hints, no master taken out of use, none missing that there is now. That a nearer master has turned
    up since does not count: reductions would never come to rest.
    """
    rows = session.scalars(
        select(Reduction)
        .join(Recipe, Recipe.id == Reduction.recipe_id)
        .where(Reduction.run_id == run.id, Recipe.name == recipe.name, Recipe.digest == recipe.digest)
        .where(Reduction.state.in_(("running", "done", "superseded")))
        .order_by(Reduction.state == "superseded", Reduction.id.desc())
    ).unique()
    return next((row for row in rows if row.hints == run.hints and _masters_stand(session, row, choice)), None)


def _masters_stand(session: Session, reduction: Reduction, choice: MasterChoice) -> bool:
    for kind, reference in reduction.masters.items():
        if isinstance(reference, int) and session.get_one(Master, reference).state != "good":
            return False
        if reference is None and choice.waiting is None and choice.masters.get(kind) is not None:
            return False
    return True  # what else there is are files that a reduce file names


def take_up(session: Session, reduction: Reduction) -> None:
    """Let a reduction be the one that its run has, where it was given up, or another was begun or finished since."""
    others = session.scalars(
        select(Reduction).where(
            Reduction.run_id == reduction.run_id, Reduction.id != reduction.id, Reduction.state.in_(("running", "done"))
        )
    ).unique()
    later = [o for o in others if o.finished_at is None or (reduction.finished_at and o.finished_at > reduction.finished_at)]
    outdo(session, [other.id for other in later if other.state == "running"])
    if reduction.state == "running" or (reduction.state == "done" and not any(other.state == "done" for other in later)):
        return
    reduction.state, reduction.finished_at = "running", None
    stopped = select(Job.id).where(Job.reduction_id == reduction.id, Job.state.in_(("cancelled", "failed")))
    for job_id in session.scalars(stopped).all():
        life.retry(session, job_id)


def outdo(session: Session, begun: Sequence[int]) -> None:
    """Give up reductions that are under way, by id: they are not what their run should have any more."""
    session.execute(update(Reduction).where(Reduction.id.in_(begun)).values(state="superseded"))
    session.execute(
        update(Job)
        .where(Job.reduction_id.in_(begun), Job.state.in_(("waiting", "queued")))
        .values(state="cancelled", reason="another reduction took its place")
    )


def reinstate_products(session: Session, export: Job, versions: Sequence[int]) -> None:
    """Let the files that an earlier export wrote be current again, and those of the reductions given up since superseded."""
    gone = select(Reduction.id).where(Reduction.run_id.in_(versions), Reduction.state == "superseded")
    for ours, state in ((Product.job_id == export.id, "current"), (Product.reduction_id.in_(gone), "superseded")):
        session.execute(update(Product).where(ours).values(state=state).execution_options(synchronize_session=False))


def master_stands(session: Session, run: Run, choice: MasterChoice) -> bool:
    """Whether there is a master of a calibration run that still is what it should be.

    Made of the bytes that the run has, with masters that are all in use, and without none that there is now.
    """
    master = session.scalar(
        select(Master).where(Master.run_id == run.id, Master.state == "good").order_by(Master.id.desc()).limit(1)
    )
    if master is None:
        return False
    inputs = master.product.inputs
    if [item["sha256"] for item in inputs if item["kind"] == "raw"] != [item["sha256"] for item in raw_inputs(run.files)]:
        return False
    wanted = {item["id"] for item in inputs if item["kind"] == "product"}
    used = session.scalars(select(Master).where(Master.product_id.in_(wanted), Master.state == "good")).unique().all()
    kinds = {one.kind for one in used}
    lacking = any(chosen is not None and kind not in kinds for kind, chosen in choice.masters.items())
    return {one.product_id for one in used} == wanted and not lacking
