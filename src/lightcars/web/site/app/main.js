/** The page: pictures in, answers out. */

import { CropBox } from "./crop.js";
import { Engine } from "./engine.js";
import { History } from "./history.js";
import { Latest } from "./latest.js";
import { PictureError, closePicture, openPicture } from "./picture.js";
import { showBoxes, showCars } from "./results.js";
import { share } from "./share.js";
import { loadTexts, percent, text } from "./texts.js";
import { keepOffline } from "./update.js";
import { Viewfinder } from "./viewfinder.js";

const BACKENDS = ["wasm", "webgpu"];

const at = (id) => document.getElementById(id);
const crop = new CropBox(at("frame"), at("box"), (box) => classifyPicture(box));
const history = new History(at("history"), at("history-section"), (blob) => open(blob));
const requests = new Latest();
const viewfinder = new Viewfinder({
  opened: () => show("viewfinder"),
  closed: showPicture,
  taken: (blob) => open(blob),
  classify: classifyFrame,
  seen: showNames,
  failed: fail,
});

/** @type {Engine} */
let engine;
let site;
/** @type {import("./picture.js").Picture | null} */
let picture = null;
let opening = 0; // of the latest picture that was chosen; earlier ones are not shown
let turn = 0; // of the latest request; answers of earlier ones are not shown
/** @type {any} */
let answered = null; // the answer of the picture
/** @type {any} */
let named = null; // the answer whose names are shown: that one, or one of the camera

listen();
await begin().catch((error) => fail(text("error_load", { reason: error.message }) || error.message));

async function begin() {
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
  at("whole").addEventListener("click", () => crop.reset());
  at("share").addEventListener("click", shareResult);
  at("clear").addEventListener("click", () => history.clear());
  at("language").addEventListener("change", () => changeLanguage(at("language").value).catch((error) => fail(error.message)));
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
  const mine = ++opening;
  at("problem").textContent = "";
  try {
    const opened = await openPicture(blob);
    if (mine !== opening) {
      closePicture(opened);
      return;
    }
    if (picture !== null) closePicture(picture);
    picture = opened;
  } catch (error) {
    if (mine !== opening) return;
    fail(error instanceof PictureError ? text(error.message) : text("error_run", { reason: error.message }));
    return;
  }
  turn++;
  answered = null;
  at("shown").src = picture.address;
  crop.show(picture.bitmap, [0, 0, picture.bitmap.width, picture.bitmap.height]);
  showBoxes(at("others"), [], picture.bitmap);
  viewfinder.close();
  showPicture();
  await classifyPicture(null);
}

/** Show the picture with its answer in place of the camera; the hint if there is none. */
function showPicture() {
  show(picture === null ? "hint" : "frame");
  named = answered;
  if (answered === null) at("result").hidden = true;
  else showAnswer(answered);
}

/** @param {number[] | null} box null for the whole picture */
async function classifyPicture(box) {
  if (picture === null || !engine?.state.backend) return;
  const [mine, current] = [++turn, picture];
  say("working");
  try {
    const answer = await requests.run(async () => {
      if (mine !== turn) return null;
      return engine.classify(await createImageBitmap(current.bitmap), box === null ? null : [box]);
    });
    if (answer === null || mine !== turn) return;
    answered = answer;
    history.add(picture, answer.cars);
    at("whole").hidden = box === null;
    say("");
    if (!viewfinder.isOpen) showAnswer(answer);
    await engine.improve(current.bitmap, answer.latencyMs);
  } catch (error) {
    if (mine !== turn) return;
    if (answered === null) at("result").hidden = true;
    fail(text("error_run", { reason: error.message }));
  }
}

/** @param {ImageBitmap} bitmap what the camera sees; it is used up */
async function classifyFrame(bitmap) {
  const answer = engine?.state.backend ? await requests.run(() => engine.classify(bitmap)) : null;
  if (answer === null) bitmap.close();
  return answer;
}

/** Show the answer of the picture, with its boxes. */
function showAnswer(answer) {
  const [car] = answer.cars;
  at("shown").alt = text("shown", { name: car.guesses[0].name });
  crop.show(answer, car.box);
  showBoxes(at("others"), answer.cars.slice(1), answer);
  showNames(answer);
}

function showNames(answer) {
  named = answer;
  showCars(at("cars"), answer.cars, answer.carFound);
  at("latency").textContent = text("latency", { ms: Math.round(answer.latencyMs), backend: backendText() });
  at("problem").textContent = "";
  at("result").hidden = false;
}

function backendText() {
  const { backend, threads } = engine.state;
  return backend === "wasm" && threads > 1 ? text("threads", { threads }) : text(backend);
}

async function shareResult() {
  const [best] = named.cars[0].guesses;
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
  if (named !== null) (named === answered ? showAnswer : showNames)(named);
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
