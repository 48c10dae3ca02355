/** From logits to the likeliest classes. */

/**
 * @typedef {{name: string, probability: number}} Guess
 */

/**
 * @param {Float32Array} logits
 * @param {string[]} classes
 * @param {number} temperature
 * @param {number} top how many
 * @returns {Guess[]} the likeliest first
 */
export function likeliest(logits, classes, temperature, top) {
  if (!logits.every(Number.isFinite)) throw new Error("the model's outputs are not finite");
  const largest = Math.max(...logits);
  const weights = Array.from(logits, (value) => Math.exp((value - largest) / temperature));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights
    .map((weight, label) => ({ name: classes[label], probability: weight / sum }))
    .sort((one, other) => other.probability - one.probability)
    .slice(0, top);
}
