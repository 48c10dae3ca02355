/** From the cells of a car finder to boxes of cars, as `lightcars.models.boxes` makes them. */

import { roundHalfToEven } from "./preprocess.js";

const SAME_CAR = 0.5; // boxes that overlap more than this show one car
const SNAP_MARGIN = 0.02; // sides that are nearer to the picture's edge are moved onto it

/**
 * @typedef {[number, number, number, number, number]} Cell score, left, top, right and bottom, from 0 to 1
 */

/**
 * @param {Float32Array} values of all cells, one after the other
 * @param {number} leastScore of a car
 * @param {{width: number, height: number}} size of the picture
 * @returns {import("./preprocess.js").Box[]} in whole pixels, the largest car first
 */
export function carBoxes(values, leastScore, size) {
  const cells = [];
  for (let i = 0; i < values.length; i += 5) {
    if (values[i] >= leastScore) cells.push(Array.from(values.subarray(i, i + 5)));
  }
  return separated(cells)
    .map(snapped)
    .sort((one, other) => area(other) - area(one))
    .map((box) => pixelBox(box, size));
}

/** Merge the cells of each car to their mean, weighted by their scores. */
function separated(cells) {
  let left = cells.sort((one, other) => other[0] - one[0]);
  const kept = [];
  while (left.length > 0) {
    const [best] = left;
    const same = left.filter((cell) => cell === best || overlap(cell.slice(1), best.slice(1)) > SAME_CAR);
    const weight = same.reduce((sum, cell) => sum + cell[0], 0);
    kept.push([1, 2, 3, 4].map((side) => same.reduce((sum, cell) => sum + cell[0] * cell[side], 0) / weight));
    left = left.filter((cell) => !same.includes(cell));
  }
  return kept;
}

function overlap(one, other) {
  const across = Math.min(one[2], other[2]) - Math.max(one[0], other[0]);
  const down = Math.min(one[3], other[3]) - Math.max(one[1], other[1]);
  const shared = Math.max(0, across) * Math.max(0, down);
  return shared / Math.max(area(one) + area(other) - shared, 1e-9);
}

function area([left, top, right, bottom]) {
  return Math.max(0, right - left) * Math.max(0, bottom - top);
}

function snapped([left, top, right, bottom]) {
  const start = (side) => (side <= SNAP_MARGIN ? 0 : side);
  const end = (side) => (side >= 1 - SNAP_MARGIN ? 1 : side);
  return [start(left), start(top), end(right), end(bottom)];
}

function pixelBox(box, { width, height }) {
  let [left, top, right, bottom] = box.map((side, i) => roundHalfToEven(side * (i % 2 === 0 ? width : height)));
  [left, top] = [Math.min(left, width - 1), Math.min(top, height - 1)];
  return [left, top, Math.max(right, left + 1), Math.max(bottom, top + 1)];
}
