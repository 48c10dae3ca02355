#!/bin/sh
# Builds the wheel, installs it into an empty environment and imports it there.
# The environment sees the packages of the project's own one, so that gigabytes are not installed twice.
set -eu
bin=$(cd "${BIN:?the folder of the environment's programs}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$bin/python" -m build --wheel --no-isolation --outdir "$work/dist" . >"$work/build.log" 2>&1 || {
    cat "$work/build.log"
    exit 1
}
"$bin/python" -m venv "$work/empty"
"$work/empty/bin/python" -m pip install --quiet --no-deps "$work"/dist/*.whl
"$bin/python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])' >"$work/packages"
cd "$work"
"$work/empty/bin/python" -c 'import lightcars, sys; assert lightcars.list_models() and "torch" not in sys.modules'
PYTHONPATH=$(cat "$work/packages") "$work/empty/bin/python" - <<'PY'
import pathlib, sys, lightcars
from lightcars import count_flops, ghostnet
where = pathlib.Path(lightcars.__file__)
assert "empty" in where.parts, where
assert (where.parent / "py.typed").is_file()
assert count_flops(ghostnet()) == 141_150_512
PY
PYTHONPATH=$(cat "$work/packages") "$work/empty/bin/lightcars" list >/dev/null
size=$(stat -c %s "$work"/dist/*.whl)
echo "wheel: $size bytes, installed and imported"
