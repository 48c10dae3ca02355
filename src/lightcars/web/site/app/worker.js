/** Classifies pictures beside the page, so that the page stays responsive. */

import { carBoxes } from "./boxes.js";
import { likeliest } from "./guesses.js";
import { normalized, plan, squarePixels } from "./preprocess.js";
import { startRuntime } from "./runtime.js";

const MOST_CARS = 8; // in one picture

/**
 * @type {{ort: any, session: any, finder: any, model: any} | null} `finder` is null where the picture is taken as
 *   it is.
 */
let classifier = null;

const tasks = { start, "warm up": warmUp, classify };

let queue = Promise.resolve(); // sessions take one run at a time

self.addEventListener("message", ({ data }) => {
  queue = queue.then(() => answer(data));
});

async function answer(data) {
  try {
    self.postMessage({ id: data.id, answer: await tasks[data.kind](data) });
  } catch (error) {
    self.postMessage({ id: data.id, problem: String(error?.message ?? error) });
  } finally {
    data.bitmap?.close();
  }
}

/** Load runtime and models. */
async function start({ backend, runtime, model, base }) {
  const began = performance.now();
  const [{ ort, threads }, content, finderContent] = await Promise.all([
    startRuntime(backend, runtime, new URL(base)),
    fetched(new URL(model.file, base)),
    model.finder === null ? null : fetched(new URL(model.finder.file, base)),
  ]);
  const options = { executionProviders: [backend], graphOptimizationLevel: "all" };
  const session = await ort.InferenceSession.create(content, options);
  const finder = finderContent === null ? null : await ort.InferenceSession.create(finderContent, options);
  classifier = { ort, session, finder, model };
  return { backend, threads, loadMs: performance.now() - began };
}

async function fetched(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address.pathname}: ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function warmUp() {
  const { finder, model, session } = classifier;
  for (const [each, { preprocessing }] of [
    [session, model],
    [finder, model.finder],
  ].filter(([each]) => each !== null)) {
    const { mean, resolution: side } = preprocessing;
    await run(each, new Float32Array(mean.length * side * side), preprocessing);
  }
}

/**
 * Classify what is in the boxes, or the cars that are found.
 *
 * @param {{bitmap: ImageBitmap, boxes: import("./preprocess.js").Box[] | null, top: number}} request
 */
async function classify({ bitmap, boxes, top }) {
  const began = performance.now();
  const { finder, model, session } = classifier;
  const whole = [0, 0, bitmap.width, bitmap.height];
  const found = boxes === null && finder !== null ? await findCars(bitmap, whole) : null;
  const chosen = found?.length ? found : (boxes ?? [whole]);
  const cars = [];
  for (const box of chosen.slice(0, MOST_CARS)) {
    const { outputs, used } = await runOn(session, bitmap, box, model.preprocessing);
    cars.push({
      box: boxes === null ? used : box, // a box that was chosen stays as it is
      guesses: likeliest(outputs.logits.data, model.classes, model.temperature, top),
      familiar: outputs.distance ? outputs.distance.data[0] <= 1 : null,
    });
  }
  const carFound = found === null ? null : found.length > 0;
  return { cars, carFound, width: bitmap.width, height: bitmap.height, latencyMs: performance.now() - began };
}

/** @returns {Promise<import("./preprocess.js").Box[]>} the largest first */
async function findCars(bitmap, whole) {
  const { finder, model } = classifier;
  const { outputs } = await runOn(finder, bitmap, whole, model.finder.preprocessing);
  return carBoxes(outputs.boxes.data, model.finder.least_score, bitmap);
}

/** Run a model on a part of a picture. */
async function runOn(session, bitmap, box, preprocessing) {
  const planned = plan(box, preprocessing);
  const pixels = squarePixels(bitmap, planned, preprocessing);
  return { outputs: await run(session, normalized(pixels, preprocessing), preprocessing), used: planned.used };
}

/** @param {Float32Array} values (channels, side, side) */
function run(session, values, { mean, resolution: side }) {
  return session.run({ images: new classifier.ort.Tensor("float32", values, [1, mean.length, side, side]) });
}
