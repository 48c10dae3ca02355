/**
 * Keeps the site for use without a network. A new version is stored beside the old one, and replaces it when the
 * user says so or when no page of the site is open.
 *
 * VERSION, FILES and HEADERS are written above by `lightcars export --to web`.
 */

/* global VERSION, FILES, HEADERS */

const PREFIX = `lightcars ${self.registration.scope} `;
const CACHE = PREFIX + VERSION;
const SITE = new URL("./", self.registration.scope);
const KNOWN = new Map(FILES.map((file) => [new URL(file.url, SITE).href, file]));

self.addEventListener("install", (event) => event.waitUntil(storeAll()));
self.addEventListener("activate", (event) => event.waitUntil(takeOver()));
self.addEventListener("message", (event) => {
  if (event.data === "activate") self.skipWaiting();
});
self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return;
  const address = plainAddress(event.request.url);
  const file = KNOWN.get(address);
  if (file !== undefined) event.respondWith(fromCache(address, file));
});

async function storeAll() {
  const cache = await caches.open(CACHE);
  const needed = [...KNOWN].filter(([, file]) => !file.later);
  await Promise.all(needed.map(([address, file]) => store(cache, address, file)));
}

async function takeOver() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function fromCache(address, file) {
  const cache = await caches.open(CACHE);
  return (await cache.match(address)) ?? store(cache, address, file);
}

/** Fetch a file, check that it is of this version, and keep it with the headers of this site. */
async function store(cache, address, file) {
  const response = await fetch(address, { cache: "no-cache", integrity: file.integrity });
  if (!response.ok) throw new Error(`${address}: ${response.status}`);
  const headers = new Headers(address.startsWith(SITE.href) ? HEADERS : {});
  headers.set("Content-Type", file.type);
  const kept = new Response(await response.blob(), { headers });
  await cache.put(address, kept.clone());
  return kept;
}

/** Return an address without query; that of index.html is the folder's. */
function plainAddress(address) {
  const url = new URL(address);
  url.search = "";
  url.hash = "";
  return url.href === `${SITE.href}index.html` ? SITE.href : url.href;
}
