/** The classifier as the page sees it: a worker, on the back end that is fastest on this device. */

const SLOW_MS = 40; // an answer of WebAssembly that takes longer makes WebGPU worth a try
const TRIES = 5;
const SAME = 0.02; // by how much probabilities of two back ends may differ

/** One worker with one back end. */
class Backend {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #waiting = new Map();
  #next = 0;
  #retired = false;

  constructor() {
    this.#worker.addEventListener("message", ({ data }) => {
      const { resolve, reject } = this.#waiting.get(data.id);
      this.#waiting.delete(data.id);
      if (data.problem === undefined) resolve(data.answer);
      else reject(new Error(data.problem));
      this.#endIfIdle();
    });
    this.#worker.addEventListener("error", (event) => this.#fail(event.message || "the worker did not start"));
  }

  /** @returns {Promise<any>} */
  ask(request, transfer = []) {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ ...request, id }, transfer);
    });
  }

  /** End once everything that was asked is answered. */
  retire() {
    this.#retired = true;
    this.#endIfIdle();
  }

  #endIfIdle() {
    if (this.#retired && this.#waiting.size === 0) this.#worker.terminate();
  }

  #fail(reason) {
    for (const { reject } of this.#waiting.values()) reject(new Error(reason));
    this.#waiting.clear();
  }
}

/** Classifies pictures; `start` it first. */
export class Engine {
  /** @type {Backend | null} */
  #backend = null;
  #site;
  #improved = false;

  /** What runs now: back end, threads and the time it took to load. */
  state = { backend: "", threads: 1, loadMs: 0 };

  constructor(site) {
    this.#site = site;
  }

  /**
   * Start the first back end of `wanted` that works.
   *
   * @param {string[]} wanted
   */
  async start(wanted) {
    let problem = new Error("no back end");
    for (const backend of wanted.filter((name) => this.#site.runtime[name])) {
      try {
        [this.#backend, this.state] = await this.#started(backend);
        return;
      } catch (error) {
        problem = error;
      }
    }
    throw problem;
  }

  /** Run the model once, because the first run takes longer. */
  warmUp() {
    return this.#backend.ask({ kind: "warm up" });
  }

  /**
   * @param {ImageBitmap} bitmap it is used up
   * @param {number[][] | null} boxes null for the whole picture
   */
  classify(bitmap, boxes = null, top = 3) {
    return this.#backend.ask({ kind: "classify", bitmap, boxes, top }, [bitmap]);
  }

  /**
   * Change to WebGPU if this device answers faster with it, and alike.
   *
   * @param {ImageBitmap} bitmap a picture to measure with; it stays usable
   * @param {number} latencyMs of the last answer
   */
  async improve(bitmap, latencyMs) {
    if (this.#improved || this.state.backend !== "wasm" || latencyMs < SLOW_MS) return;
    this.#improved = true; // tried once
    if (!this.#site.runtime.webgpu) return;
    let candidate = null;
    try {
      if (navigator.connection?.saveData || !(await hasGpu())) return;
      const [backend, state] = await this.#started("webgpu");
      candidate = backend;
      const now = await measured(this.#backend, bitmap);
      const then = await measured(candidate, bitmap);
      if (then.latencyMs < now.latencyMs && alike(now.guesses, then.guesses)) {
        [candidate, this.#backend, this.state] = [this.#backend, candidate, state];
      }
    } catch {
      // WebAssembly goes on
    } finally {
      candidate?.retire();
    }
  }

  async #started(name) {
    const backend = new Backend();
    try {
      const { runtime, model } = this.#site;
      const state = await backend.ask({
        kind: "start",
        backend: name,
        runtime: runtime[name],
        model,
        base: document.baseURI,
      });
      return [backend, state];
    } catch (error) {
      backend.retire();
      throw error;
    }
  }
}

async function hasGpu() {
  const adapter = await navigator.gpu?.requestAdapter();
  return Boolean(adapter) && !adapter.info?.isFallbackAdapter;
}

/** Return the median latency, and the guesses. */
async function measured(backend, bitmap) {
  const times = [];
  let answer = null;
  for (let i = 0; i < TRIES; i++) {
    const copy = await createImageBitmap(bitmap);
    answer = await backend.ask({ kind: "classify", bitmap: copy, boxes: null, top: 3 }, [copy]);
    times.push(answer.latencyMs);
  }
  return { latencyMs: times.sort((a, b) => a - b)[TRIES >> 1], guesses: answer.cars[0].guesses };
}

function alike(ours, theirs) {
  return ours[0].name === theirs[0].name && Math.abs(ours[0].probability - theirs[0].probability) <= SAME;
}
