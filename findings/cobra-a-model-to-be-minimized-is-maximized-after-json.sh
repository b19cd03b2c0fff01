#!/usr/bin/env bash
# Packages: cobra 0.32.1.
# Behaviour: the objective of a metabolic model has a direction, "min" in parsimonious and cost models. JSON (the format
#   of BiGG and Escher), YAML and model_to_dict keep the coefficients of the objective and not its
#   direction, and the readers set "max": the model is solved without a warning and gives another flux.  SBML and pickle
#   keep the direction.  The docstrings do not mention it.
# Seen 2026-12-01: a supply that costs at least 1 and at most 5: as made, by pickle and SBML 1.0; by JSON, YAML
#   and dict 5.0.
# Fails (exit 1) when JSON keeps the direction.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --no-compile --disable-pip-version-check --only-binary=:all: cobra==0.32.1
cat > "$dir/model.py" <<'P'
import logging
import pickle
import sys
import warnings

from cobra import Metabolite, Model, Reaction
from cobra import io as files
from cobra.io.dict import model_from_dict, model_to_dict

warnings.simplefilter("ignore")  # of libraries below cobra; none is about the objective
logging.disable(logging.INFO)  # SBML mentions the compartment's missing name

model = Model("supply")
inside = Metabolite("a_c", compartment="c")
uptake, use = Reaction("uptake", lower_bound=1, upper_bound=5), Reaction("use", lower_bound=0, upper_bound=9)
uptake.add_metabolites({inside: 1})
use.add_metabolites({inside: -1})
model.add_reactions([uptake, use])
model.objective = "uptake"
model.objective_direction = "min"


def through(write, read, name):
    def copied(value):
        write(value, name)
        return read(name)

    return copied


ways = {
    "as made": lambda value: value,
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "SBML": through(files.write_sbml_model, files.read_sbml_model, "supply.xml"),
    "JSON": through(files.save_json_model, files.load_json_model, "supply.json"),
    "YAML": through(files.save_yaml_model, files.load_yaml_model, "supply.yml"),
    "dict": lambda value: model_from_dict(model_to_dict(value)),
}
found = {}
for way, copied in ways.items():
    other = copied(model)
    found[way] = other.objective_direction, other.slim_optimize()
    print(f"{way:8} {found[way][0]} of uptake: {found[way][1]}")
kept = [way for way, (direction, value) in found.items() if direction == "min" and value == 1]
lost = [way for way, (direction, value) in found.items() if direction == "max" and value == 5]
is_as_seen = kept == ["as made", "pickle", "SBML"] and lost == ["JSON", "YAML", "dict"]
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
cd "$dir" && "$dir/env/bin/python" model.py
