/** The pictures of this session, kept in memory only. */

import { element } from "./results.js";
import { percent } from "./texts.js";

const MOST = 24;
const SIDE = 144; // pixels of a thumbnail

/** A list of earlier pictures; each can be opened again. */
export class History {
  #list;
  #section;
  #open;

  /**
   * @param {HTMLElement} list
   * @param {HTMLElement} section hidden as long as there is none
   * @param {(blob: Blob) => void} open
   */
  constructor(list, section, open) {
    [this.#list, this.#section, this.#open] = [list, section, open];
  }

  /**
   * Add a picture; one that is there already moves to the front with its new result.
   *
   * @param {import("./picture.js").Picture} picture
   * @param {import("./results.js").Car[]} cars
   */
  add(picture, cars) {
    const [best] = cars[0].guesses;
    const button = document.createElement("button");
    button.type = "button";
    button.append(
      thumbnail(picture.bitmap),
      element("span", "name", best.name),
      element("span", "probability", percent(best.probability)),
    );
    button.addEventListener("click", () => this.#open(picture.blob));
    const item = document.createElement("li");
    item.append(button);
    const hadFocus = this.#forget(picture.blob);
    item.blob = picture.blob;
    this.#list.prepend(item);
    if (hadFocus) button.focus();
    while (this.#list.children.length > MOST) this.#list.lastElementChild.remove();
    this.#section.hidden = false;
  }

  clear() {
    this.#list.replaceChildren();
    this.#section.hidden = true;
  }

  /** @returns {boolean} whether it had the focus */
  #forget(blob) {
    const item = [...this.#list.children].find((each) => each.blob === blob);
    const hadFocus = item?.contains(document.activeElement) ?? false;
    item?.remove();
    return hadFocus;
  }
}

/** @param {ImageBitmap} bitmap */
function thumbnail(bitmap) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [SIDE, SIDE];
  const side = Math.min(bitmap.width, bitmap.height);
  const [left, top] = [(bitmap.width - side) / 2, (bitmap.height - side) / 2];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, left, top, side, side, 0, 0, SIDE, SIDE);
  canvas.setAttribute("aria-hidden", "true");
  return canvas;
}
