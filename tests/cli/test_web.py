"""`lightcars export --to web` and `lightcars serve`: what they print, and mistakes in one line."""

import json
import threading
import urllib.request

import pytest

from lightcars.web import server as server_room
from lightcars.web.runtime import CDN


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def page(finished, tmp_path_factory):
    """A page of the finished run, whose runtime is on a public address; exported once."""
    from typer.testing import CliRunner

    from lightcars.cli.main import app

    folder = tmp_path_factory.mktemp("web") / "site"
    arguments = [
        "export",
        str(finished),
        str(folder),
        "--to",
        "web",
        "--cdn",
        "--title",
        "Autka",
        "--color",
        "#06c",
    ]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    return folder, done.stdout


def test_a_page_of_a_run(page):
    folder, printed = page
    first, second, third = printed.splitlines()
    assert first.startswith(f"{folder}: ")
    assert "runtime 0.0 MB" in first
    assert second.startswith("ONNX Runtime differs from PyTorch by ")
    assert third == f"try it: lightcars serve {folder}"
    site = json.loads((folder / "site.json").read_text())
    assert (site["title"], site["subject"], len(site["model"]["classes"])) == ("Autka", "anything", 8)
    assert f"connect-src 'self' {CDN};" in (folder / "_headers").read_text()
    assert "<title>Autka</title>" in (folder / "index.html").read_text()


def test_serve(lightcars, page, monkeypatch):
    answers = []

    def serve_once(server):
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("http_proxy", raising=False)
            thread = threading.Thread(target=server.handle_request)
            thread.start()
            address = f"http://127.0.0.1:{server.server_address[1]}/site.json"
            answers.append(urllib.request.urlopen(address).read())
            thread.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(server_room.SiteServer, "serve_forever", serve_once)
    folder, _ = page
    done = lightcars("serve", folder, "--port", 0)
    assert done.code == 0
    assert done.out.startswith("on this machine: http://localhost:")
    assert done.err.splitlines() == ["Press Ctrl-C to stop.", "stopped"]
    monkeypatch.setattr(server_room, "network_address", lambda: "192.0.2.7")
    done = lightcars("serve", folder, "--port", 0, "--network")
    assert "on your phone: http://192.0.2.7:" in done.out
    assert "the live camera" in done.err
    assert answers == [(folder / "site.json").read_bytes()] * 2


MISTAKES = {
    "two outputs": (["RUN", "a", "--to", "web", "--out", "b"], "the output is named twice, as a and as b"),
    "a batch": (["RUN", "--to", "web", "--batch-size", "1"], "a web page takes one image at a time"),
    "a title of a file": (["RUN", "--title", "x"], "--title is only for --to web"),
    "a color": (["RUN", "--to", "web", "--color", "red"], "a color must be written like #07c"),
    "texts": (["RUN", "--to", "web", "--texts", "none.json"], "none.json cannot be read"),
    "storage": (["RUN", "--to", "web", "--storage", "int4"], "storage must be one of int8, fp16, fp32"),
    "no runtime": (["RUN", "--to", "web", "--runtime", "none"], "there is no folder or package none"),
    "both": (["RUN", "--to", "web", "--runtime", "none", "--cdn"], "choose one"),
    "a title in bytes": (["RUN", "--to", "web", "--title", "caf\udce9"], "the title has characters"),
    "its own folder": (["RUN", "RUN", "--to", "web", "--force"], "is where the input"),
    "not empty": (["RUN", "full", "--to", "web", "--cdn"], "full already exists and is not an empty folder"),
}


@pytest.mark.parametrize(("arguments", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(lightcars, finished, elsewhere, arguments, message):
    (elsewhere / "full").mkdir()
    (elsewhere / "full" / "mine").write_text("")
    done = lightcars("export", *[finished if word == "RUN" else word for word in arguments])
    assert message in done.error
    assert {path.name for path in elsewhere.iterdir()} == {"full"}


def test_mistakes_of_serve(lightcars, elsewhere):
    assert "is not what lightcars export --to web wrote" in lightcars("serve", elsewhere).error
    assert "--key requires --certificate" in lightcars("serve", elsewhere, "--key", "k.pem").error
