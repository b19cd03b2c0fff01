"""A run in the PROV data model of W3C, as PROV-JSON.

Source: https://www.w3.org/TR/prov-dm/.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

from prov.model import PROV_TYPE, ProvDocument

from d4py_cli.provenance.account import RunAccount

_NAMESPACE = "urn:d4py:"


def write_prov(target: Path, account: RunAccount, results: list[Path]) -> None:
    """Write what is said of a run.

    Args:
        target: the file.
        account: what is said of the run; all values are plain.
        results: files with the results.

    Raises:
        OSError: the file cannot be written.
    """
    text = make_document(account, results).serialize(indent=2)
    assert text is not None  # as there is no destination
    target.write_text(text, encoding="utf-8")


def make_document(account: RunAccount, results: list[Path]) -> ProvDocument:
    """Return what is said of a run as a PROV document."""
    document = ProvDocument()
    document.add_namespace("d4py", _NAMESPACE)
    engine = document.agent(
        "d4py:engine",
        {
            PROV_TYPE: "prov:SoftwareAgent",
            **{f"d4py:version-{name}": version for name, version in account.versions.items()},
        },
    )
    run = document.activity(
        "d4py:run",
        account.began,
        account.ended,
        {
            "prov:label": account.title,
            "d4py:mapping": account.mapping,
            "d4py:host": account.host,
            "d4py:outcome": account.outcome,
            **{f"d4py:{quote(name)}": value for name, value in account.parameters.items()},
        },
    )
    document.wasAssociatedWith(run, engine)
    names = account.source_names()
    for source in account.sources:
        name = quote(names[source.path])
        file = document.entity(
            f"d4py:file/{name}",
            {
                "prov:label": source.path,
                "d4py:sha256": source.sha256,
                "d4py:revision": source.revision,
            },
        )
        document.used(run, file)
    for path in results:
        made = document.entity(f"d4py:file/{quote(path.name)}", {"prov:label": str(path)})
        document.wasGeneratedBy(made, run)
    for pe in account.pes:
        activity = document.activity(
            f"d4py:pe/{quote(pe.pe.id)}",
            pe.began,
            pe.ended,
            {"prov:label": pe.pe.id, "d4py:class": pe.pe.kind, "d4py:calls": pe.about},
        )
        document.wasAssociatedWith(activity, engine)
        document.wasInformedBy(activity, run)
        for address in pe.used:
            document.used(activity, _thing(document, address))
        for address in pe.generated:
            document.wasGeneratedBy(_thing(document, address), activity)
    for edge in account.edges:
        document.wasInformedBy(
            f"d4py:pe/{quote(edge.destination)}", f"d4py:pe/{quote(edge.source)}"
        )
    return document


def _thing(document: ProvDocument, address: str) -> Any:
    name = f"d4py:thing/{quote(address, safe='')}"
    found = document.get_record(name)
    return found[0] if found else document.entity(name, {"prov:label": address})
