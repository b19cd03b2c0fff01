#!/usr/bin/env bash
# Packages: pytest 9.2.0 and 9.1.1, pytest-xdist 3.8.0 (PyPI wheels, a venv each).
# Behaviour: with pytest 9.2.0, `--dist loadgroup` of pytest-xdist 3.8.0 distributes the tests of one
#   `xdist_group` over all workers, without a warning: what each group should do once, such as a
#   fixture that is expensive or a server on one port, is done by every worker. With pytest 9.1.1 the
#   tests of a group run in one worker, and their node ids end in `@GROUP`.
# Seen 2026-11-30: six tests of one group run in 2 of 2 workers with 9.2.0, in 1 with 9.1.1.
# Fails (exit 1) when 9.2.0 keeps the group together, or 9.1.1 does not.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cat > "$dir/test_group.py" <<'P'
import time
import pytest

@pytest.mark.xdist_group("one")
@pytest.mark.parametrize("number", range(6))
def test_of_a_group(number):
    time.sleep(0.2)
P
workers() {
  python3 -m venv "$dir/$1"; "$dir/$1/bin/pip" install -q --disable-pip-version-check "pytest==$1" pytest-xdist==3.8.0
  (cd "$dir" && "$dir/$1/bin/pytest" -p no:cacheprovider -c /dev/null --rootdir=. -n 2 --dist loadgroup -v test_group.py) |
    grep -o '^\[gw[0-9]*\]' | sort -u | wc -l
}
new=$(workers 9.2.0); old=$(workers 9.1.1)
echo "workers that ran tests of the one group: $new with pytest 9.2.0, $old with pytest 9.1.1"
[ "$new" = 2 ] && [ "$old" = 1 ] || { echo "CHANGED"; exit 1; }
