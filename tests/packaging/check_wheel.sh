#!/bin/sh
# Build the wheel, install it with its dependencies into an empty environment, and import it there.
set -eu
bin=$(cd "${BIN:?the folder of the environment's programs}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$bin/python" -m build --wheel --no-isolation --outdir "$work/dist" . >"$work/build.log" 2>&1 || {
    cat "$work/build.log"
    exit 1
}
"$bin/python" -m venv "$work/empty"
# uv takes what it has downloaded before
"$bin/uv" pip install --quiet --python "$work/empty/bin/python" "$work"/dist/*.whl ||
    "$work/empty/bin/python" -m pip install --quiet "$work"/dist/*.whl
cd "$work"
"$work/empty/bin/python" - <<'PY'
import pathlib, sys, lightcars
assert lightcars.list_models() and "torch" not in sys.modules
from lightcars import count_flops, ghostnet
where = pathlib.Path(lightcars.__file__)
assert "empty" in where.parts, where
assert (where.parent / "py.typed").is_file()
assert (where.parent / "recipes" / "named" / "c-50.yaml").is_file()
assert (where.parent / "deploy" / "standalone" / "predict.py").is_file()
assert (where.parent / "web" / "site" / "app" / "main.js").is_file()
assert count_flops(ghostnet()) == 141_150_512
PY
"$work/empty/bin/lightcars" list >/dev/null
"$work/empty/bin/python" -c "from PIL import Image; Image.effect_noise((96, 64), 90).save('photo.png')"
HF_HUB_OFFLINE=1 "$work/empty/bin/lightcars" predict photo.png --json | grep --quiet '"probability"'
[ "$(cat "$work"/dist/*.whl | wc -c)" -lt 30000000 ] || { echo "the wheel is 30 MB or more" >&2; exit 1; }
echo "wheel: $(cat "$work"/dist/*.whl | wc -c) bytes, installed and imported"
