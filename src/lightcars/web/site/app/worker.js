/** Classifies pictures beside the page, so that the page stays responsive. */

import { likeliest } from "./guesses.js";
import { normalized, plan, squarePixels } from "./preprocess.js";
import { startRuntime } from "./runtime.js";

/** @type {{ort: any, session: any, model: any} | null} */
let classifier = null;

const tasks = { start, "warm up": warmUp, classify };

self.addEventListener("message", async ({ data }) => {
  try {
    self.postMessage({ id: data.id, answer: await tasks[data.kind](data) });
  } catch (error) {
    self.postMessage({ id: data.id, problem: String(error?.message ?? error) });
  } finally {
    data.bitmap?.close();
  }
});

/** Load runtime and model. */
async function start({ backend, runtime, model, base }) {
  const began = performance.now();
  const address = new URL(model.file, base);
  const [{ ort, threads }, content] = await Promise.all([
    startRuntime(backend, runtime, new URL(base)),
    fetch(address).then((response) => {
      if (!response.ok) throw new Error(`${address.pathname}: ${response.status}`);
      return response.arrayBuffer();
    }),
  ]);
  const session = await ort.InferenceSession.create(new Uint8Array(content), {
    executionProviders: [backend],
    graphOptimizationLevel: "all",
  });
  classifier = { ort, session, model };
  return { backend, threads, loadMs: performance.now() - began };
}

async function warmUp() {
  const { mean, resolution: side } = classifier.model.preprocessing;
  await run(new Float32Array(mean.length * side * side));
}

/**
 * Classify a picture, or what is in the boxes.
 *
 * @param {{bitmap: ImageBitmap, boxes: import("./preprocess.js").Box[] | null, top: number}} request
 */
async function classify({ bitmap, boxes, top }) {
  const began = performance.now();
  const { model } = classifier;
  const cars = [];
  for (const box of boxes ?? [[0, 0, bitmap.width, bitmap.height]]) {
    const planned = plan(box, model.preprocessing);
    const pixels = squarePixels(bitmap, planned, model.preprocessing);
    const { logits, distance } = await run(normalized(pixels, model.preprocessing));
    cars.push({
      box: planned.used,
      guesses: likeliest(logits, model.classes, model.temperature, top),
      familiar: distance === null ? null : distance <= 1,
    });
  }
  return { cars, width: bitmap.width, height: bitmap.height, latencyMs: performance.now() - began };
}

/**
 * @param {Float32Array} values (channels, side, side)
 * @returns {Promise<{logits: Float32Array, distance: number | null}>} above a distance of 1 the picture looks
 *   like none of the classes.
 */
async function run(values) {
  const { ort, session, model } = classifier;
  const { mean, resolution: side } = model.preprocessing;
  const images = new ort.Tensor("float32", values, [1, mean.length, side, side]);
  const outputs = await session.run({ images });
  return { logits: outputs.logits.data, distance: outputs.distance ? outputs.distance.data[0] : null };
}
