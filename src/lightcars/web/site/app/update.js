/** Keeps the page for use without a network, and offers new versions of it. */

/**
 * @param {(apply: () => void) => void} offer called when a new version waits
 */
export async function keepOffline(offer) {
  if (!("serviceWorker" in navigator)) return;
  const registration = await navigator.serviceWorker.register("service-worker.js", { updateViaCache: "none" });
  let reloads = Boolean(navigator.serviceWorker.controller); // not when the first version takes over
  const offerWaiting = () => {
    const waiting = registration.waiting;
    if (!waiting || !navigator.serviceWorker.controller) return;
    offer(() => {
      reloads = true;
      waiting.postMessage("activate");
    });
  };
  offerWaiting();
  registration.addEventListener("updatefound", () => {
    registration.installing?.addEventListener("statechange", offerWaiting);
  });
  navigator.serviceWorker.addEventListener("controllerchange", () => {
    if (reloads) location.reload();
  });
}
