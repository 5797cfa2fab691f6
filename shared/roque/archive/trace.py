"""From a product back to raw bytes, masters, recipe, apertures and the version of the code."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from roque.archive.models import Job, Master, Product, Reduction
from roque.archive.open import MasterReference
from roque.archive.provenance import aperture_input, raw_inputs, recipe_input

__all__ = ["trace"]


def trace(session: Session, product: Product) -> dict[str, Any]:
    """Tell what a product was made from, and that from what, down to raw files.

    Parameters
    ----------
    session : Session
    product : Product

    Returns
    -------
    dict
        A tree, as JSON. Every node has ``kind`` (product, reduction, recipe, apertures, raw), ``name``, ``sha256`` and
        ``from``, the list of nodes it was made from; products and reductions also have ``code_version`` and ``made_at``,
        products ``what`` (master, log ...), ``size`` and ``job``. What stands in for a missing master has the kind
        ``without``, a master in a file of the user's own the kind that it is (bias, dark, flat), and every master of a
        reduction the reason it was chosen, ``why``.
    """
    if product.reduction_id is None:
        sources = [_source(session, item) for item in product.inputs]
    else:
        # what its run was then: the file may have been written over since
        raw = [item for item in product.inputs if item["kind"] == "raw"]
        sources = [_reduction(session, session.get_one(Reduction, product.reduction_id), raw)]
    return {
        "kind": "product",
        "name": product.uri,
        "sha256": product.sha256,
        "what": product.kind,
        "size": product.size,
        "state": product.state,
        "code_version": product.code_version,
        "made_at": product.made_at.isoformat(),
        "job": _job(session, product.job_id),
        "from": sources,
    }


def _source(session: Session, item: dict[str, Any]) -> dict[str, Any]:
    if item["kind"] == "product":
        product = session.scalar(select(Product).where(Product.uri == item["name"]))
        if product is not None:
            return trace(session, product)
    return _leaf(item)


def _reduction(session: Session, reduction: Reduction, raw: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "kind": "reduction",
        "name": reduction.name,
        "sha256": reduction.key,
        "run": reduction.run.path,
        "code_version": reduction.code_version,
        "made_at": reduction.created_at.isoformat(),
        "from": [
            _leaf(recipe_input(reduction.recipe)),
            _leaf(aperture_input(reduction.aperture_set)),
            *(_master(session, kind, master, reduction.choices.get(kind)) for kind, master in reduction.masters.items()),
            *(_leaf(item) for item in raw or raw_inputs(reduction.run.files)),
        ],
    }


def _master(session: Session, kind: str, reference: MasterReference, why: Any) -> dict[str, Any]:
    if reference is None:
        return {"kind": "without", "name": kind, "sha256": None, "why": why, "from": []}
    if not isinstance(reference, int):  # a file that a reduce file names
        return {**_leaf({"kind": kind, "name": reference["file"], "sha256": reference["sha256"]}), "why": why}
    return {**trace(session, session.get_one(Master, reference).product), "why": why}


def _job(session: Session, job_id: str | None) -> dict[str, Any] | None:
    job = session.get(Job, job_id) if job_id is not None else None
    if job is None:
        return None
    return {"id": job.id, "kind": job.kind, "parameters": job.parameters, "attempts": job.attempts, "worker": job.worker}


def _leaf(item: dict[str, Any]) -> dict[str, Any]:
    return {"kind": item["kind"], "name": item["name"], "sha256": item["sha256"], "from": []}
