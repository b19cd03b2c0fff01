#!/usr/bin/env bash
# Packages: anndata 0.12.19 with numpy 2.4.6.
# Behaviour: copy.deepcopy of a view (adata[rows]) gives an object whose obs, names and shape are those of the whole it
#   was taken from, while its X has the chosen rows: 2 rows of numbers under 3 names, and, where the rows were reordered,
#   each under the name of another cell.  No error is raised.  copy.copy, pickle and the view's own copy() are right.
# Seen 2026-11-30: adata[[2, 0]], cells c and a: deepcopy has X of shape (2, 3), obs_names a, b, c, shape (3, 3).
# Fails (exit 1) when the copy has the two names of its rows.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"; "$dir/env/bin/pip" install -q --disable-pip-version-check --only-binary=:all: anndata==0.12.19 numpy==2.4.6
cat > "$dir/views.py" <<'P'
import copy
import pickle
import sys

import anndata
import numpy
import pandas

cells = anndata.AnnData(numpy.eye(3), obs=pandas.DataFrame(index=["a", "b", "c"]))
chosen = cells[[2, 0]]
for how, made in (
    ("the view", chosen),
    ("copy()", chosen.copy()),
    ("copy.copy", copy.copy(chosen)),
    ("pickle", pickle.loads(pickle.dumps(chosen))),
    ("copy.deepcopy", copy.deepcopy(chosen)),
):
    names = list(made.obs_names)
    print(f"{how:14} shape {made.shape}, X {made.X.shape}, names {names}")
    if how == "copy.deepcopy":
        is_as_seen = names == ["a", "b", "c"]
    else:
        assert names == ["c", "a"], how
if not is_as_seen:
    print("CHANGED")
sys.exit(not is_as_seen)
P
"$dir/env/bin/python" "$dir/views.py"
