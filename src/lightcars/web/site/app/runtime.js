/** Starts ONNX Runtime Web, for one of its back ends. */

const MAX_THREADS = 4;

/**
 * @typedef {object} RuntimeFiles
 * @property {string} code address of the JavaScript module
 * @property {string} loader address of the module that starts the WebAssembly
 * @property {string} wasm address of the WebAssembly, which may be compressed with gzip
 * @property {Record<string, string>} [integrity] address -> what `fetch` must find, for files of other sites
 */

/**
 * @param {"wasm" | "webgpu"} backend
 * @param {RuntimeFiles} files
 * @param {URL} base of relative addresses
 * @returns {Promise<{ort: any, threads: number}>}
 */
export async function startRuntime(backend, files, base) {
  const [code, loader, wasmBinary] = await Promise.all([
    moduleAddress(files, files.code, base),
    moduleAddress(files, files.loader, base),
    binary(files, files.wasm, base),
  ]);
  const ort = await import(code);
  const threads = self.crossOriginIsolated ? Math.min(MAX_THREADS, navigator.hardwareConcurrency || 1) : 1;
  Object.assign(ort.env.wasm, { numThreads: threads, wasmBinary, wasmPaths: { mjs: loader } });
  ort.env.logLevel = "error";
  if (backend === "webgpu") ort.env.webgpu.powerPreference = "high-performance";
  return { ort, threads };
}

/** A module of this site is imported where it is; one of another site only as the pinned integrity has it. */
async function moduleAddress(files, address, base) {
  const url = new URL(address, base);
  if (url.origin === base.origin) return url.href;
  const text = await (await fetched(files, url)).text();
  return URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
}

async function binary(files, address, base) {
  const url = new URL(address, base);
  const content = await (await fetched(files, url)).blob();
  const [first, second] = new Uint8Array(await content.slice(0, 2).arrayBuffer());
  if (first !== 0x1f || second !== 0x8b) return content.arrayBuffer(); // the host unpacked it, or it never was packed
  const stream = content.stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

async function fetched(files, url) {
  const integrity = files.integrity?.[url.href];
  const response = await fetch(url, integrity === undefined ? {} : { integrity });
  if (!response.ok) throw new Error(`${url.pathname}: ${response.status}`);
  return response;
}
