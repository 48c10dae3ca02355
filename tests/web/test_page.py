"""The page in Chromium: pictures in, answers out; wrong files; phones and desktops; without a network."""

import base64
import gzip
import io
import json
import os
import re
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageOps

import lightcars
from lightcars.data.drawn_cars import draw_car
from lightcars.web.export import export_web
from lightcars.web.page import CAR, PageOptions
from lightcars.weights.car_finder import load_car_finder
from tests.web.browser import ARGUMENTS, axe_source, camera_file, chromium, until
from tests.web.conftest import WEIGHTS, serving
from tests.web.test_preprocessing import save_rotated

PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two synthetic cars; the second is rotated by its EXIF orientation."""
    folder = tmp_path_factory.mktemp("pictures")
    draw_car("Coupe", 3).save(folder / "coupe.png")
    save_rotated(folder / "rotated.jpg")
    return [folder / "coupe.png", folder / "rotated.jpg"]


@pytest.fixture(scope="module")
def loaded(browser, served):
    """The page with its model, for many tests: loading it takes the most time."""
    context = browser.new_context(service_workers="block", locale="en-US")
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.goto(served)
    page.get_by_text("Ready.", exact=True).wait_for()
    yield page
    context.close()


@pytest.fixture
def page(loaded):
    """The loaded page without earlier pictures; no error in it stays unseen."""
    loaded.set_viewport_size(DESKTOP)
    if loaded.get_by_role("button", name="Clear").is_visible():
        loaded.get_by_role("button", name="Clear").click()
    yield loaded
    assert loaded.problems == []


def answer(page):
    """The names and probabilities that are shown."""
    names = page.locator("#cars .name").all_inner_texts()
    shares = [float(text.rstrip("%")) for text in page.locator("#cars .probability").all_inner_texts()]
    return dict(zip(names, shares, strict=True))


def upload(page, path):
    """Choose a file, and return the answer."""
    before = page.locator("#history > li").count()
    page.set_input_files("#file", path)
    page.locator("#history > li").nth(before).wait_for(state="attached")
    return answer(page)


def problem(page, name, content, kind):
    """Choose a file with that content, and return the line that is shown."""
    page.set_input_files("#file", {"name": name, "mimeType": kind, "buffer": content})
    page.locator("#problem:not(:empty)").wait_for()
    return page.inner_text("#problem")


def test_answers_are_those_of_predict(page, pictures):
    for path in pictures:
        shown = upload(page, path)
        (expected,) = lightcars.predict(WEIGHTS, path, top=3, cut=True)
        probabilities = {guess.name: 100 * guess.probability for guess in expected.guesses}
        assert next(iter(shown)) == expected.guesses[0].name
        for name, share in shown.items():
            assert share == pytest.approx(probabilities.get(name, share), abs=8)
        assert (page.locator("#cars .unfamiliar").count() > 0) == (expected.familiar is False)
    assert re.fullmatch(r"\d+ ms on this device \(WebAssembly, .*\)", page.inner_text("#latency"))
    assert page.evaluate("crossOriginIsolated")


def test_a_picture_that_looks_like_no_car_is_told(page, tmp_path):
    Image.effect_noise((200, 200), 120).convert("RGB").save(tmp_path / "noise.png")
    assert lightcars.predict(WEIGHTS, tmp_path / "noise.png", cut=True)[0].familiar is False
    upload(page, tmp_path / "noise.png")
    assert (
        page.inner_text("#cars .unfamiliar")
        == "This does not look like any of the cars that the model knows."
    )


def test_a_picture_can_be_chosen_before_the_model_is_loaded(tab, served, pictures):
    tab.goto(served, wait_until="commit")
    tab.locator("#file").wait_for(state="attached")
    assert len(upload(tab, pictures[0])) == 3


DROP = """
([content, kind]) => {
  const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], "car.png", { type: "image/png" }));
  const options = { bubbles: true, cancelable: true };
  const event = kind === "drop"
    ? new DragEvent("drop", { ...options, dataTransfer: transfer })
    : new ClipboardEvent("paste", { ...options, clipboardData: transfer });
  document.body.dispatchEvent(event);
}
"""


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_dropped_and_pasted_pictures(page, pictures, kind):
    page.evaluate(DROP, [base64.b64encode(pictures[0].read_bytes()).decode(), kind])
    page.locator("#history > li").first.wait_for()
    assert len(answer(page)) == 3


def test_a_box_by_keyboard_and_by_pointer(page, pictures):
    whole = upload(page, pictures[0])
    page.locator("#box").focus()
    for _ in range(3):
        page.keyboard.press("Shift+ArrowLeft")
        page.keyboard.press("ArrowDown")
    page.locator("#whole").wait_for()
    until(page, "document.getElementById('status').textContent === ''")
    with Image.open(pictures[0]) as image:
        expected = lightcars.predict(WEIGHTS, image.crop((0, 0, 84, 96)), top=1, cut=True)[0].guesses[0]
    assert answer(page) != whole
    assert page.locator("#box").evaluate("(box) => box.style.width") == "87.5%"
    assert answer(page).get(expected.name, 100) == pytest.approx(100 * expected.probability, abs=8)
    page.keyboard.press("Escape")
    page.locator("#whole").wait_for(state="hidden")
    assert answer(page) == whole
    frame = page.locator("#frame").bounding_box()
    page.mouse.move(frame["x"] + 10, frame["y"] + 10)
    page.mouse.down()
    page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + frame["height"] / 2)
    page.mouse.up()
    page.locator("#whole").wait_for()
    assert page.locator("#history > li").count() == 1


def test_history_opens_earlier_pictures(page, pictures):
    first, second = (upload(page, path) for path in pictures)
    assert first != second
    page.locator("#history button").nth(1).click()
    page.locator("#cars .name").first.and_(page.get_by_text(next(iter(first)))).wait_for()
    assert page.locator("#history > li").count() == 2
    page.get_by_role("button", name="Clear").click()
    assert page.locator("#history-section").is_hidden()


def test_share_copies_the_text_where_nothing_can_be_shared(tab, served, pictures):
    tab.add_init_script(
        "Object.defineProperty(navigator, 'share', { value: undefined });"
        "const writeText = async (text) => { window.copied = text; };"
        "Object.defineProperty(navigator.clipboard, 'writeText', { value: writeText });"
    )
    tab.goto(served)
    (name, share), *_ = upload(tab, pictures[0]).items()
    tab.get_by_role("button", name="Share the result").click()
    tab.get_by_text("Copied.").wait_for()
    assert tab.evaluate("window.copied") == f"{name} ({share}%), says Which car is it?."


WRONG = {
    "text": (
        "notes.txt",
        b"not a picture",
        "text/plain",
        "This file is not a picture that the browser can read.",
    ),
    "zero bytes": ("car.jpg", b"", "image/jpeg", "This file is empty (0 bytes)."),
    "heic": (
        "car.heic",
        b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(400),
        "image/heic",
        "This browser cannot read HEIC pictures. Save the picture as JPEG first.",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_files_are_one_line(page, pictures, case):
    before = upload(page, pictures[0])
    *file, expected = WRONG[case]
    assert problem(page, *file) == expected
    assert answer(page) == before
    upload(page, pictures[1])
    assert page.inner_text("#problem") == ""


def test_a_huge_picture_is_refused_before_it_is_decoded(page):
    content = io.BytesIO()
    Image.new("1", (12_000, 9_000)).save(content, "PNG")
    assert problem(page, "huge.png", content.getvalue(), "image/png").startswith("This picture is too large")


def test_without_webassembly(tab, served):
    tab.add_init_script("delete globalThis.WebAssembly")
    tab.goto(served)
    tab.locator("#problem:not(:empty)").wait_for()
    assert tab.inner_text("#problem") == "This browser has no WebAssembly, which the model needs."


def test_a_model_that_cannot_be_loaded(tab, served):
    tab.route("**/model.onnx", lambda route: route.fulfill(status=404))
    tab.goto(served)
    tab.locator("#problem:not(:empty)").wait_for()
    assert "The model could not be loaded (" in tab.inner_text("#problem")


@pytest.mark.parametrize("missing", ["site.json", "texts/en.json"])
def test_a_page_that_cannot_start_says_so_in_english(tab, served, missing):
    tab.route(f"**/{missing}", lambda route: route.fulfill(status=404))
    tab.goto(served)
    tab.locator("#problem:not(:empty)").wait_for()
    assert tab.inner_text("#choose") == "Choose a picture"
    assert "car" in tab.inner_text("#hint")


def test_packed_files_that_the_host_unpacks(tab, served, pictures):
    def unpacking(route):
        response = route.fetch()
        route.fulfill(response=response, body=gzip.decompress(response.body()))

    tab.route("**/*.wasm.bin", unpacking)
    tab.goto(served)
    assert len(upload(tab, pictures[0])) == 3


def test_the_answer_of_the_latest_picture_is_shown(page, pictures):
    """While one picture is classified another is chosen, and then a file that is none."""
    upload(page, pictures[0])
    page.set_input_files("#file", pictures[1])
    page.set_input_files("#file", {"name": "a.txt", "mimeType": "text/plain", "buffer": b"text"})
    page.locator("#history > li").nth(1).wait_for()
    until(page, "document.getElementById('status').textContent === ''")
    with Image.open(pictures[1]) as image:
        expected = (
            lightcars.predict(WEIGHTS, ImageOps.exif_transpose(image), top=1, cut=True)[0].guesses[0].name
        )
    assert next(iter(answer(page))) == expected
    assert page.locator("#history .name").first.inner_text() == expected


def test_without_isolation_there_is_one_thread(tab, served, pictures):
    def bare(route):
        response = route.fetch()
        kept = {k: v for k, v in response.headers.items() if not k.startswith("cross-origin")}
        route.fulfill(response=response, headers=kept)

    tab.route("**/*", bare)
    tab.goto(served)
    upload(tab, pictures[0])
    assert not tab.evaluate("crossOriginIsolated")
    assert "(WebAssembly, 1 thread)" in tab.inner_text("#latency")


def test_polish_and_back(page, pictures):
    upload(page, pictures[0])
    page.select_option("#language", "pl")
    page.get_by_role("button", name="Wybierz zdjęcie").wait_for()
    assert page.evaluate("document.documentElement.lang") == "pl"
    assert "ms na tym urządzeniu" in page.inner_text("#latency")
    page.select_option("#language", "en")
    page.get_by_role("button", name="Choose a picture").wait_for()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_accessible_at_both_sizes(page, pictures, size, scheme):
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size(size)
    source = axe_source()
    for step in ("empty", "answered"):
        if step == "answered":
            upload(page, pictures[1])
        page.evaluate(f"{source}; 0")
        found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for button in page.locator("button:visible").all():
        assert button.bounding_box()["height"] >= 44


def test_only_files_of_the_site_are_asked_for(tab, served, pictures):
    asked = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.goto(served)
    upload(tab, pictures[0])
    assert {url for url in asked if not url.startswith((served, "blob:"))} == set()
    assert not [url for url in asked if "asyncify" in url]


def test_the_policy_forbids_other_addresses(page):
    blocked = page.evaluate("fetch('https://example.org/').then(() => 'sent', (error) => String(error))")
    assert "TypeError" in blocked
    inline = "const script = document.createElement('script'); script.textContent = 'window.ran = true';"
    assert page.evaluate(f"{inline} document.head.append(script); window.ran === undefined")


def test_installed_and_without_a_network(browser, site, pictures):
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    with serving(site) as server:
        address = server.address("localhost")
        page.goto(address)
        first = upload(page, pictures[0])
        page.evaluate("navigator.serviceWorker.ready")
        until(page, "navigator.serviceWorker.controller !== null")
        client = context.new_cdp_session(page)
        errors = client.send("Page.getInstallabilityErrors")["installabilityErrors"]
        assert [error["errorId"] for error in errors if error["errorId"] != "in-incognito"] == []
        assert json.loads(client.send("Page.getAppManifest")["data"])["name"] == "Which car is it?"
    page.reload()
    page.get_by_text("Ready.", exact=True).wait_for()
    assert upload(page, pictures[0]) == first
    context.close()


def test_isolated_from_the_second_visit_on_any_host(browser, site):
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    with serving(site) as server:
        server.RequestHandlerClass.keywords["headers"] = {}
        page.goto(server.address("localhost"))
        assert not page.evaluate("crossOriginIsolated")
        until(page, "navigator.serviceWorker.controller !== null")
        page.reload()
        assert page.evaluate("crossOriginIsolated")
    context.close()


def test_a_new_version_is_offered(browser, site, tmp_path):
    folder = shutil.copytree(site, tmp_path / "site")
    context = browser.new_context(locale="en-US")
    page = context.new_page()
    with serving(folder) as server:
        page.goto(server.address("localhost"))
        until(page, "navigator.serviceWorker.controller !== null")
        worker = folder / "service-worker.js"
        worker.write_text(re.sub('VERSION = "(.)', r'VERSION = "x\1', worker.read_text()))
        page.reload()
        page.get_by_role("button", name="Update now").click()
        until(page, "caches.keys().then((names) => names.every((name) => name.includes(' x')))")
    context.close()


def test_the_camera(playwright, site, pictures, tmp_path):
    with Image.open(pictures[0]) as image:
        video = camera_file(tmp_path / "camera.y4m", image.resize((640, 480)))
    fakes = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={video}",
    )
    launched = playwright.chromium.launch(executable_path=chromium(), args=[*ARGUMENTS, *fakes])
    context = launched.new_context(locale="en-US", permissions=["camera"], service_workers="block")
    page = context.new_page()
    with serving(site) as server:
        page.goto(server.address("localhost"))
        page.get_by_text("Ready.", exact=True).wait_for()
        expected = upload(page, pictures[0])
        page.get_by_role("button", name="Take a picture", exact=True).click()
        page.get_by_role("button", name="Live").click()
        until(page, "document.getElementById('cars').ariaLive === 'off'")
        page.get_by_role("button", name="Live").click()
        page.get_by_role("button", name="Take the picture").click()
        page.locator("#history > li").nth(1).wait_for()
        assert next(iter(answer(page))) == next(iter(expected))
        assert page.locator("#viewfinder").is_hidden()
    context.close()
    launched.close()


CAMERAS = """
window.streams = [];
navigator.mediaDevices.getUserMedia = async () => {
  await new Promise((resolve) => setTimeout(resolve, 50));
  if (window.refuse) throw new DOMException("in use", "NotReadableError");
  const canvas = document.createElement("canvas");
  const draw = () => canvas.getContext("2d").fillRect(0, 0, 300 * Math.random(), 150);
  window.setInterval(draw, 20);
  const stream = canvas.captureStream();
  window.streams.push(stream);
  return stream;
};
"""


def test_cameras_are_released(tab, served, pictures):
    """Tapping twice, a camera that cannot be turned, and closing while it is asked for."""
    tab.add_init_script(CAMERAS)
    tab.goto(served)
    before = upload(tab, pictures[0])
    tab.evaluate("const button = document.getElementById('open-camera'); button.click(); button.click();")
    tab.locator("#viewfinder").wait_for()
    assert tab.evaluate("streams.length") == 1
    tab.evaluate("window.refuse = true")
    tab.get_by_role("button", name="Switch camera").click()
    tab.locator("#problem:not(:empty)").wait_for()
    assert tab.locator("#viewfinder").is_hidden()
    assert tab.locator("#frame").is_visible()
    assert answer(tab) == before
    assert tab.evaluate("streams.every((each) => each.getTracks().every((t) => t.readyState === 'ended'))")


def test_live_answers_leave_the_picture_its_own(tab, served, pictures):
    tab.add_init_script(CAMERAS)
    tab.goto(served)
    before = upload(tab, pictures[1])
    box = tab.locator("#frame").get_attribute("style")
    tab.get_by_role("button", name="Take a picture", exact=True).click()
    tab.get_by_role("button", name="Live").click()
    until(tab, "document.querySelector('#cars .name').textContent !== " + json.dumps(next(iter(before))))
    tab.get_by_role("button", name="Close the camera").click()
    assert answer(tab) == before
    assert tab.locator("#frame").get_attribute("style") == box
    assert tab.locator("#live").get_attribute("aria-pressed") == "false"


def test_a_refused_camera_is_one_line(page):
    page.get_by_role("button", name="Take a picture", exact=True).click()
    page.get_by_text("The camera cannot be used.").wait_for()


@pytest.fixture(scope="module")
def finding(site, runtime, tmp_path_factory):
    """The page of the shipped weights with the car finder."""
    folder = tmp_path_factory.mktemp("web") / "finding"
    options = {"page": PageOptions(subject=CAR), "finder": load_car_finder(torch.device("cpu"))}
    export_web(lightcars.ghostnet(weights=WEIGHTS), folder, **options)
    return folder


def two_cars(photographs, path):
    """Two photographs of cars on a gray picture, the first the larger one."""
    picture = Image.new("RGB", (800, 500), (120, 120, 120))
    for name, box in zip(photographs, ((40, 90, 440, 390), (520, 180, 760, 340)), strict=True):
        with Image.open(name) as image:
            picture.paste(image.convert("RGB").resize((box[2] - box[0], box[3] - box[1])), box[:2])
    picture.save(path)
    return path


def test_several_cars_and_none(tab, finding, tmp_path):
    shared = Path(os.environ.get("LIGHTCARS_SHARED", Path(__file__).parents[3] / "shared"))
    found = sorted((shared / "cars196" / "val").glob("*/*.*"))[10:400:200]
    if not found:
        pytest.skip("the photographs are not here")
    path = two_cars(found, tmp_path / "two.png")
    (expected,) = lightcars.predict(WEIGHTS, path, top=3, all_cars=True)
    assert len(expected.cars) == 2
    with serving(finding) as server:
        tab.goto(server.address("localhost"))
        upload(tab, path)
        assert tab.locator("#cars > li").count() == 2
        first = tab.locator("#cars > li").first.locator(".name").first.inner_text()
        assert first == expected.guesses[0].name
        assert tab.locator("#others .other").count() == 1
        shown = tab.locator("#box").evaluate("(box) => [box.style.left, box.style.width].map(parseFloat)")
        left, _, right, _ = expected.box
        assert shown == pytest.approx([100 * left / 800, 100 * (right - left) / 800], abs=1.5)
        Image.new("RGB", (300, 200), (90, 140, 200)).save(tmp_path / "sky.png")
        upload(tab, tmp_path / "sky.png")
        assert tab.locator("#cars .unfamiliar").first.inner_text() == "No car was found in this picture."
        assert tab.locator("#cars > li").count() == 1
