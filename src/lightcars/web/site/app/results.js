/** Shows what was recognized. */

import { place } from "./crop.js";
import { percent, text } from "./texts.js";

/**
 * @typedef {{box: number[], guesses: import("./guesses.js").Guess[], familiar: boolean | null}} Car
 */

/**
 * @param {HTMLElement} list an <ol>
 * @param {Car[]} cars
 * @param {boolean | null} found whether there are cars at all; null where none was looked for
 */
export function showCars(list, cars, found) {
  list.replaceChildren(...cars.map((car, i) => carItem(car, cars.length > 1 ? i + 1 : null)));
  if (found === false) list.firstElementChild.prepend(element("p", "unfamiliar", text("no_car")));
}

/**
 * Show the boxes of further cars, with their numbers.
 *
 * @param {HTMLElement} parent
 * @param {Car[]} cars
 * @param {{width: number, height: number}} size of the picture
 */
export function showBoxes(parent, cars, size) {
  const boxes = cars.map(({ box }, i) => {
    const shown = element("div", "other", String(i + 2));
    place(shown, box, size);
    return shown;
  });
  parent.replaceChildren(...boxes);
}

/**
 * @param {Car} car
 * @param {number | null} number null for the only one
 */
function carItem({ guesses, familiar }, number) {
  const item = document.createElement("li");
  if (number !== null) item.append(element("h3", "number", text("car", { number })));
  if (familiar === false) item.append(element("p", "unfamiliar", text("unfamiliar")));
  const rows = document.createElement("ol");
  rows.className = "guesses";
  rows.append(...guesses.map((guess) => guessRow(guess)));
  item.append(rows);
  return item;
}

/** @param {import("./guesses.js").Guess} guess */
function guessRow({ name, probability }) {
  const row = document.createElement("li");
  const bar = element("span", "bar", "");
  bar.style.setProperty("--share", String(probability));
  row.append(element("span", "name", name), element("span", "probability", percent(probability)), bar);
  return row;
}

/**
 * @param {string} tag
 * @param {string} className
 * @param {string} content
 */
export function element(tag, className, content) {
  const node = document.createElement(tag);
  node.className = className;
  node.textContent = content;
  return node;
}
