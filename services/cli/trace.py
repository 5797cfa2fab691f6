"""`roque trace`: from a product back to raw bytes, masters, recipe and code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from services.cli.app import App, pass_app
from services.cli.output import clean, json_line, json_option

__all__ = ["trace"]

RAW_SHOWN = 3
"""Raw files of one run that are shown; a run of single images has hundreds."""


@click.command()
@click.argument("product", metavar="PRODUCT")
@json_option
@pass_app
def trace(app: App, product: str, *, as_json: bool) -> None:
    """Lead a product back to raw bytes, masters, recipe and code version.

    PRODUCT is the number or name that `roque product list` gives, or a file: it is known again by its bytes.

    \b
    Examples:
      roque trace 12
      roque trace paper/run0012.fits --json
    """
    from roque.archive.names import find_product, find_product_of_file
    from roque.archive.trace import trace as follow

    with app.record.reading() as session:
        file = Path(product)
        known_by_bytes = file.is_file() and not product.isdecimal()
        row = find_product_of_file(session, file) if known_by_bytes else find_product(session, product)
        tree = follow(session, row)
    if as_json:
        json_line(tree)
    else:
        _print(tree)


def _print(node: dict[str, Any], lead: str = "", branch: str = "") -> None:
    below = lead + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
    sources = _shortened(node["from"])
    click.echo(f"{lead}{branch}{clean(_label(node))}")
    for line in _details(node):
        click.secho(f"{below}{'│  ' if sources else '   '}{clean(line)}", dim=True)
    for i, source in enumerate(sources):
        _print(source, below, "└─ " if i == len(sources) - 1 else "├─ ")


def _label(node: dict[str, Any]) -> str:
    match node["kind"]:
        case "product":
            return f"{node['what']} {node['name']}"
        case "reduction":
            return f"reduction {node['name']} of {node['run']}"
        case _:
            digest = f"  sha256 {node['sha256'][:12]}" if node["sha256"] else ""
            return f"{node['kind']} {node['name']}{digest}"


def _details(node: dict[str, Any]) -> list[str]:
    why = str(node.get("why") or "").removeprefix(f"without {node['name']}: ")
    details = [why] if why else []
    if node["kind"] in ("product", "reduction"):
        made = f"by roque {node['code_version']}, {node['made_at'][:16].replace('T', ' ')} UTC"
        details.append(f"{made}, sha256 {node['sha256'][:12]}" if node["kind"] == "product" else made)
    return details


def _shortened(nodes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave the middle of a long list of raw files out."""
    raw = [node for node in nodes if node["kind"] == "raw"]
    if len(raw) <= RAW_SHOWN + 2:
        return nodes
    left_out = raw[RAW_SHOWN:-1]
    told = f"{len(left_out)} more raw files: --json lists them all"
    gap: dict[str, Any] = {"kind": "...", "name": told, "sha256": None, "from": []}
    return [node for node in nodes if node["kind"] != "raw"] + [*raw[:RAW_SHOWN], gap, raw[-1]]
