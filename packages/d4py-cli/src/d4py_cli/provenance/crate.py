"""A run as a Workflow Run RO-Crate: a folder with the workflow, its results, and a description.

It is RO-Crate 1.1 with the profiles for processes, workflows and provenance of runs 0.5, the latest
that validators have rules for.  What 0.6 asks for beside (an entity for each profile, address and
version of all software) is written as well.  Nothing is fetched.

Sources: https://w3id.org/ro/crate/1.1, https://w3id.org/ro/wfrun/provenance/0.5.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rocrate.model.computationalworkflow import ComputationalWorkflow
from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

from d4py_cli.provenance.account import PEAccount, RunAccount

_VERSION = "1.1"  # the library's default has no validator
_TERMS = "https://w3id.org/ro/terms/workflow-run/context"
_PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/provenance/0.5": ("Provenance Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
_STATES = {
    "done": "http://schema.org/CompletedActionStatus",
    "failed": "http://schema.org/FailedActionStatus",
    "interrupted": "http://schema.org/FailedActionStatus",
}


def write_crate(target: Path, account: RunAccount, results: list[Path], others: list[Path]) -> None:
    """Write the crate of a run.

    Args:
        target: the folder.
        account: what is said of the run.
        results: files with the results, which are copied unless they are in the folder.
        others: files in the folder that are about the run.

    Raises:
        OSError: a file cannot be read or written.
    """
    _Crate(account, results, others).crate.write(target)


class _Crate:
    """Builds the entities of a crate."""

    def __init__(self, account: RunAccount, results: list[Path], others: list[Path]) -> None:
        self._account = account
        self.crate = ROCrate(version=_VERSION)
        self._describe_root()
        self._engine = self._add_engine()
        self._workflow = self._add_workflow()
        self._tools = {pe.pe.id: self._add_tool(pe) for pe in account.pes}
        self._connect()
        made = [self.crate.add_file(path, dest_path=path.name) for path in results]
        for path in others:
            self.crate.add_file(path, dest_path=path.name, properties={"about": {"@id": "#run"}})
        self._add_actions(made)

    def _describe_root(self) -> None:
        account, crate = self._account, self.crate
        crate.metadata.extra_contexts.append(_TERMS)
        crate.name = account.title
        crate.description = f"A run of a dispel4py workflow on {account.mapping}: {account.title}"
        crate.datePublished = account.ended
        crate.license = self._add(
            "#license", "CreativeWork", name="No licence is stated; ask the workflow's authors."
        )
        crate.root_dataset["conformsTo"] = [
            self._add(address, "CreativeWork", name=name, version=version)
            for address, (name, version) in _PROFILES.items()
        ]
        crate.metadata["conformsTo"] = [
            {"@id": f"https://w3id.org/ro/crate/{_VERSION}"},
            {"@id": "https://w3id.org/workflowhub/workflow-ro-crate/1.0"},
        ]

    def _add_engine(self) -> Any:
        version = self._account.versions.get("d4py-core", "unknown")
        return self._add(
            "#d4py",
            "SoftwareApplication",
            name=f"d4py, mapping {self._account.mapping}",
            version=version,
            softwareVersion=version,
            url="https://pypi.org/project/d4py-core/",
        )

    def _add_workflow(self) -> Any:
        account = self._account
        main, *rest = account.sources
        language = self._add(
            "https://www.python.org/",
            "ComputerLanguage",
            name="Python",
            url="https://www.python.org/",
            version=account.versions.get("python", "unknown"),
        )
        workflow = self.crate.add(
            ComputationalWorkflow(
                self.crate,
                main.path,
                os.path.basename(main.path),
                properties={
                    "@type": ["File", "SoftwareSourceCode", "ComputationalWorkflow", "HowTo"],
                    "name": os.path.basename(main.path),
                    "version": main.revision or f"sha256:{main.sha256}",
                    "url": main.path,
                    "sha256": main.sha256,
                },
            )
        )
        workflow["programmingLanguage"] = language
        self.crate.mainEntity = workflow
        names = account.source_names()
        for source in rest:
            properties = {"sha256": source.sha256}
            self.crate.add_file(source.path, names[source.path], properties=properties)
        workflow["input"] = [
            self._add_parameter(f"#parameter/{quote(name)}", name, _type_of(value))
            for name, value in account.parameters.items()
        ]
        workflow["output"] = [self._add_parameter("#parameter/results", "results", "File")]
        return workflow

    def _add_tool(self, account: PEAccount) -> Any:
        pe = account.pe
        main = self._account.sources[0]
        tool = self._add(
            f"#pe/{quote(pe.id)}",
            "SoftwareApplication",
            name=pe.id,
            description=f"the processing element {pe.kind}",
            version=main.revision or f"sha256:{main.sha256}",
            softwareVersion=main.revision or f"sha256:{main.sha256}",
            url=pe.file or main.path,
        )
        step = self._add(
            f"#step/{quote(pe.id)}",
            "HowToStep",
            name=pe.id,
            position=str(self._account.pes.index(account)),
        )
        step["workExample"] = tool
        self._workflow.append_to("step", step)
        self._workflow.append_to("hasPart", tool)
        return tool

    def _connect(self) -> None:
        """Add the ports that edges use, and the edges."""
        for number, edge in enumerate(self._account.edges):
            ends = []
            for pe, port, kind in (
                (edge.source, edge.output, "output"),
                (edge.destination, edge.input, "input"),
            ):
                address = f"#port/{quote(pe)}/{kind}/{quote(port)}"
                found = self.crate.get(address)
                if found is None:
                    found = self._add_parameter(address, port, "Collection")
                    self._tools[pe].append_to(kind, found)
                ends.append(found)
            connection = self._add(f"#edge/{number}", "ParameterConnection")
            connection["sourceParameter"], connection["targetParameter"] = ends
            self._workflow.append_to("connection", connection)

    def _add_actions(self, results: list[Any]) -> None:
        account = self._account
        run = self._add_action("#run", f"Run of {account.title}", account.began, account.ended)
        run["instrument"] = self._workflow
        run["actionStatus"] = _STATES[account.outcome]
        if account.message:
            run["error"] = account.message
        run["object"] = [self._add_value(name) for name in account.parameters]
        for file in results:
            file["exampleOfWork"] = self.crate.get("#parameter/results")
        run["result"] = results
        organize = self._add(
            "#organize",
            "OrganizeAction",
            name=f"d4py runs {account.title}",
            startTime=account.began.isoformat(),
            endTime=account.ended.isoformat(),
        )
        organize["instrument"], organize["result"] = self._engine, run
        self.crate.root_dataset["mentions"] = [run, organize]
        for pe in account.pes:
            name = quote(pe.pe.id)
            action = self._add_action(f"#call/{name}", pe.pe.id, pe.began, pe.ended)
            action["description"] = pe.about
            action["instrument"] = self._tools[pe.pe.id]
            action["object"] = [self._add_address(one) for one in pe.used]
            action["result"] = [self._add_address(one) for one in pe.generated]
            run["object"] = [*run["object"], *action["object"]]
            run["result"] = [*run["result"], *action["result"]]
            control = self._add(f"#control/{name}", "ControlAction", name=f"control of {name}")
            control["instrument"] = self.crate.get(f"#step/{name}")
            control["object"] = action
            organize.append_to("object", control)
            self.crate.root_dataset.append_to("mentions", action)

    def _add(self, address: str, kind: str, **properties: Any) -> Any:
        return self.crate.add(
            ContextEntity(self.crate, address, properties={"@type": kind, **properties})
        )

    def _add_action(self, address: str, name: str, began: Any, ended: Any) -> Any:
        return self._add(
            address,
            "CreateAction",
            name=name,
            startTime=began.isoformat(),
            endTime=ended.isoformat(),
        )

    def _add_parameter(self, address: str, name: str, kind: str) -> Any:
        return self._add(address, "FormalParameter", name=name, additionalType=kind)

    def _add_value(self, name: str) -> Any:
        value = self._add(
            f"#value/{quote(name)}",
            "PropertyValue",
            name=name,
            value=self._account.parameters[name],
        )
        value["exampleOfWork"] = self.crate.get(f"#parameter/{quote(name)}")
        return value

    def _add_address(self, address: str) -> Any:
        """Return the entity of a thing that a PE declared; files are not copied."""
        name = address.rstrip("/").rpartition("/")[2] or address
        if "://" not in address:
            address = Path(address).as_uri()
        found = self.crate.get(address)
        return self._add(address, "CreativeWork", name=name) if found is None else found


def _type_of(value: object) -> str:
    names = {bool: "Boolean", int: "Integer", float: "Float"}
    return names.get(type(value), "Text")
