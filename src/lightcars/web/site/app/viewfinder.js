/** The camera on the page: its buttons, and live answers. */

import { Camera } from "./camera.js";
import { text } from "./texts.js";

const at = (id) => document.getElementById(id);

/**
 * @typedef {object} Page
 * @property {() => void} opened the camera is shown
 * @property {() => void} closed it is no longer shown
 * @property {(blob: Blob) => void} taken a picture was taken
 * @property {(bitmap: ImageBitmap) => Promise<any>} classify gives null while there is no model
 * @property {(answer: any) => void} seen a live answer
 * @property {(problem: string) => void} failed
 */

/** Shows the camera and what it sees; `isOpen` from the request for the camera on. */
export class Viewfinder {
  isOpen = false;
  #camera = new Camera(at("video"));
  #live = 0; // of the latest loop of live answers; earlier ones end
  /** @type {Page} */
  #page;

  /** @param {Page} page */
  constructor(page) {
    this.#page = page;
    at("open-camera").addEventListener("click", () => this.open());
    at("close-camera").addEventListener("click", () => {
      this.close();
      at("open-camera").focus();
    });
    at("turn").addEventListener("click", () => this.#camera.turn().catch(() => this.#failed()));
    at("take").addEventListener("click", () => this.#take());
    at("live").addEventListener("click", () => this.#toggleLive());
  }

  async open() {
    if (this.isOpen) return;
    if (!Camera.isSupported) {
      at("capture").click();
      return;
    }
    this.isOpen = true;
    at("problem").textContent = "";
    try {
      if (!(await this.#camera.open())) return; // closed meanwhile
      this.#page.opened();
      at("take").focus();
    } catch {
      this.#failed();
    }
  }

  close() {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#setLive(false);
    this.#camera.close();
    this.#page.closed();
  }

  #failed() {
    this.close();
    this.#page.failed(text("error_camera"));
  }

  async #take() {
    try {
      this.#page.taken(await this.#camera.take());
    } catch (error) {
      this.#page.failed(text("error_run", { reason: error.message }));
    }
  }

  async #toggleLive() {
    this.#setLive(at("live").getAttribute("aria-pressed") !== "true");
    const mine = this.#live;
    while (mine === this.#live && at("live").getAttribute("aria-pressed") === "true") {
      try {
        const frame = await this.#camera.frame(); // null while the camera turns
        const answer = frame === null ? null : await this.#page.classify(frame);
        if (answer !== null && mine === this.#live) this.#page.seen(answer);
      } catch (error) {
        if (mine !== this.#live) return;
        this.#setLive(false);
        this.#page.failed(text("error_run", { reason: error.message }));
      }
      await new Promise(requestAnimationFrame);
    }
  }

  #setLive(on) {
    this.#live++;
    at("live").setAttribute("aria-pressed", String(on));
    at("cars").setAttribute("aria-live", on ? "off" : "polite"); // twenty answers a second are too many to read out
  }
}
