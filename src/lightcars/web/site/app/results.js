/** Shows what was recognized. */

import { percent, text } from "./texts.js";

/**
 * @typedef {{box: number[], guesses: import("./guesses.js").Guess[], familiar: boolean | null}} Car
 */

/**
 * @param {HTMLElement} list an <ol>
 * @param {Car[]} cars
 */
export function showCars(list, cars) {
  list.replaceChildren(...cars.map((car) => carItem(car)));
}

/** @param {Car} car */
function carItem({ guesses, familiar }) {
  const item = document.createElement("li");
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
