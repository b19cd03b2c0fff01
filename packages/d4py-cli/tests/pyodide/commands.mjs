// Runs dispel4py commands in Pyodide: node commands.mjs FOLDER.
// FOLDER is what .ci/pyodide has filled.  Standard input is a JSON list of argument lists; the answer
// is a JSON list of [exit status, output, error output].  The current folder is that of the commands.

import { readdirSync, readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const PROGRAM = `
import contextlib, io, json, os
import micropip

await micropip.install(wheels.to_py())

from d4py_cli.main import main

os.chdir("/here")

def call(argv):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(argv)
    return status, out.getvalue(), err.getvalue()

json.dumps([call(argv) for argv in json.loads(commands)])
`;

const folder = process.argv[2];
const { loadPyodide } = await import(pathToFileURL(`${folder}/node_modules/pyodide/pyodide.mjs`));
const python = await loadPyodide();
const site = python.runPython("import site; site.getsitepackages()[0]");
const read = (name) => new Uint8Array(readFileSync(`${folder}/wheels/${name}`));

// Without a network, micropip takes a requirement from a wheel that it has met before.
const order = ["mdurl", "markdown_it_py", "pygments", "rich", "d4py_core", "d4py_examples", "d4py_cli"];
const files = readdirSync(`${folder}/wheels`);
const named = (name) => files.find((file) => file.startsWith(`${name}-`));
python.unpackArchive(read(named("micropip")), "wheel", { extractDir: site });
python.FS.mkdir("/wheels");
for (const name of order) {
  python.FS.writeFile(`/wheels/${named(name)}`, read(named(name)));
}
python.FS.mkdir("/here");
python.FS.mount(python.FS.filesystems.NODEFS, { root: process.cwd() }, "/here");
python.globals.set("wheels", order.map((name) => `emfs:/wheels/${named(name)}`));
python.globals.set("commands", readFileSync(0, "utf8"));
console.log(await python.runPythonAsync(PROGRAM));
