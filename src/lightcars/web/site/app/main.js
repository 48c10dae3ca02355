/** The page: pictures in, answers out. */

import { Camera } from "./camera.js";
import { CropBox } from "./crop.js";
import { Engine } from "./engine.js";
import { History } from "./history.js";
import { PictureError, closePicture, openPicture } from "./picture.js";
import { showBoxes, showCars } from "./results.js";
import { share } from "./share.js";
import { loadTexts, percent, text } from "./texts.js";
import { keepOffline } from "./update.js";

const BACKENDS = ["wasm", "webgpu"];

const at = (id) => document.getElementById(id);
const camera = new Camera(at("video"));
const crop = new CropBox(at("frame"), at("box"), (box) => classifyPicture(box));
const history = new History(at("history"), at("history-section"), (blob) => open(blob));

/** @type {Engine} */
let engine;
let site;
/** @type {import("./picture.js").Picture | null} */
let picture = null;
let turn = 0; // of the latest request; answers of earlier ones are not shown
/** @type {any} */
let shown = null; // the answer on the page

await begin();

async function begin() {
  listen();
  site = await (await fetch("site.json")).json();
  const hasWebAssembly = typeof WebAssembly === "object";
  const started = hasWebAssembly ? startEngine() : Promise.resolve();
  await changeLanguage(null);
  if (!hasWebAssembly) {
    fail(text("error_wasm"));
    return;
  }
  const problem = await started;
  if (problem) {
    fail(text("error_load", { reason: problem.message }));
    return;
  }
  say("ready");
  if (picture === null) engine.warmUp().catch(() => {}); // a picture will tell what is wrong
  await classifyPicture(null);
  keepOffline(offerUpdate).catch(() => {}); // the page works without; a browser may forbid it
}

/** Load runtime and model while the texts are loaded; return the error, if there is one. */
function startEngine() {
  engine = new Engine(site);
  const wanted = new URLSearchParams(location.search).get("backend");
  return engine.start(wanted === null ? BACKENDS : [wanted]).catch((error) => error);
}

function listen() {
  at("choose").addEventListener("click", () => at("file").click());
  for (const id of ["file", "capture"]) {
    at(id).addEventListener("change", () => openChosen(at(id)));
    openChosen(at(id)); // a file may have been chosen before
  }
  at("open-camera").addEventListener("click", openCamera);
  at("close-camera").addEventListener("click", closeCamera);
  at("turn").addEventListener("click", () => camera.turn().catch(cameraFailed));
  at("take").addEventListener("click", takePicture);
  at("live").addEventListener("click", toggleLive);
  at("whole").addEventListener("click", () => crop.reset());
  at("share").addEventListener("click", shareResult);
  at("clear").addEventListener("click", () => history.clear());
  at("language").addEventListener("change", () => changeLanguage(at("language").value));
  listenForDrops();
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    if (file) open(file);
  });
}

function listenForDrops() {
  const drop = at("drop");
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  document.addEventListener("dragleave", () => drop.classList.remove("over"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const [file] = event.dataTransfer.files;
    if (file) open(file);
  });
}

/** @param {HTMLInputElement} input */
function openChosen(input) {
  if (input.files.length > 0) open(input.files[0]);
  input.value = "";
}

/** @param {Blob} blob */
async function open(blob) {
  const mine = ++turn;
  at("problem").textContent = "";
  try {
    const opened = await openPicture(blob);
    if (mine !== turn) {
      closePicture(opened);
      return;
    }
    closeCamera();
    if (picture !== null) closePicture(picture);
    picture = opened;
  } catch (error) {
    fail(error instanceof PictureError ? text(error.message) : text("error_run", { reason: error.message }));
    return;
  }
  at("shown").src = picture.address;
  crop.show(picture.bitmap, [0, 0, picture.bitmap.width, picture.bitmap.height]);
  showBoxes(at("others"), [], picture.bitmap);
  show("frame");
  await classifyPicture(null);
}

/** @param {number[] | null} box null for the whole picture */
async function classifyPicture(box) {
  if (picture === null || !engine?.state.backend) return;
  const mine = ++turn;
  say("working");
  try {
    const copy = await createImageBitmap(picture.bitmap);
    const answer = await engine.classify(copy, box === null ? null : [box]);
    if (mine !== turn) return;
    showAnswer(answer);
    history.add(picture, answer.cars);
    at("whole").hidden = box === null;
    say("");
    await engine.improve(picture.bitmap, answer.latencyMs);
  } catch (error) {
    if (mine === turn) fail(text("error_run", { reason: error.message }));
  }
}

function showAnswer(answer) {
  shown = answer;
  const [car] = answer.cars;
  at("shown").alt = text("shown", { name: car.guesses[0].name });
  crop.show(answer, car.box);
  showBoxes(at("others"), answer.cars.slice(1), answer);
  showCars(at("cars"), answer.cars, answer.carFound);
  at("latency").textContent = text("latency", { ms: Math.round(answer.latencyMs), backend: backendText() });
  at("problem").textContent = "";
  at("result").hidden = false;
}

function backendText() {
  const { backend, threads } = engine.state;
  return backend === "wasm" && threads > 1 ? text("threads", { threads }) : text(backend);
}

async function openCamera() {
  if (!Camera.isSupported) {
    at("capture").click();
    return;
  }
  try {
    await camera.open();
    show("viewfinder");
    at("take").focus();
  } catch (error) {
    cameraFailed(error);
  }
}

function cameraFailed() {
  closeCamera();
  fail(text("error_camera"));
}

function closeCamera() {
  if (!camera.isOpen) return;
  setLive(false);
  camera.close();
  show(picture === null ? "hint" : "frame");
  at("open-camera").focus();
}

async function takePicture() {
  try {
    await open(await camera.take());
  } catch (error) {
    fail(text("error_run", { reason: error.message }));
  }
}

async function toggleLive() {
  setLive(at("live").getAttribute("aria-pressed") !== "true");
  while (at("live").getAttribute("aria-pressed") === "true" && engine?.state.backend) {
    try {
      const answer = await engine.classify(await camera.frame());
      if (camera.isOpen) showAnswer(answer);
      await new Promise(requestAnimationFrame);
    } catch (error) {
      setLive(false);
      fail(text("error_run", { reason: error.message }));
    }
  }
}

function setLive(on) {
  at("live").setAttribute("aria-pressed", String(on));
  at("cars").setAttribute("aria-live", on ? "off" : "polite"); // twenty answers a second are too many to read out
}

async function shareResult() {
  const [best] = shown.cars[0].guesses;
  const values = { name: best.name, probability: percent(best.probability), title: site.title };
  try {
    if ((await share(site.title, text("shared_text", values))) === "copied") say("copied");
  } catch {
    fail(text("error_clipboard"));
  }
}

async function changeLanguage(wanted) {
  await loadTexts(
    site.languages.map(({ tag }) => tag),
    site.subject,
    wanted,
  );
  const select = at("language");
  select.replaceChildren(...site.languages.map(({ tag, name }) => new Option(name, tag)));
  select.value = document.documentElement.lang;
  select.parentElement.hidden = site.languages.length < 2;
  const { name: model, classes, license } = site.model;
  const about = { model, classes: classes.length, version: site.lightcars_version };
  at("about").textContent = text("about", { ...about, license: license ? text("license", { license }) : "" });
  if (shown !== null) showAnswer(shown);
}

/** Show one of hint, picture and camera, with its buttons. */
function show(wanted) {
  for (const id of ["hint", "frame", "viewfinder"]) at(id).hidden = id !== wanted;
  at("drag").hidden = wanted !== "frame";
  at("actions").hidden = wanted === "viewfinder";
  at("camera-actions").hidden = wanted !== "viewfinder";
}

/** Show a text until another one takes its place; nothing for "". */
function say(key) {
  at("status").dataset.text = key;
  at("status").textContent = text(key);
}

function fail(problem) {
  say("");
  at("problem").textContent = problem;
}

function offerUpdate(apply) {
  at("update").hidden = false;
  at("apply-update").addEventListener("click", apply, { once: true });
}
