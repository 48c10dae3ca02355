/** From a picture to the tensor that the model expects, as `lightcars predict` makes it. */

import { passWeights, scaleAcross, scaleDown } from "./resize.js";

const MAX_ASPECT_RATIO = 8; // longer pictures are cropped before they are scaled
const STRIP_PIXELS = 1 << 21; // read at once, so that large pictures need little memory

/**
 * @typedef {[number, number, number, number]} Box left, top, right and bottom, in pixels of the picture
 *
 * @typedef {object} Preprocessing
 * @property {number} resolution pixels of the square that the model sees
 * @property {number[]} mean of pixel values in [0, 1], for each channel
 * @property {number[]} std
 * @property {"squash" | "crop"} resize
 * @property {number} crop_fraction
 * @property {"bilinear" | "bicubic"} interpolation
 */

/**
 * Decide which part of a picture is scaled to which size, and which square of that is kept.
 *
 * @param {Box} box
 * @param {Preprocessing} preprocessing
 * @returns {{region: Box, size: [number, number], left: number, top: number, used: Box}} `used` is the part of
 *   the picture that the model sees.
 */
export function plan(box, preprocessing) {
  const side = preprocessing.resolution;
  const scaled = Math.floor(side / preprocessing.crop_fraction + 1e-6);
  const squash = preprocessing.resize === "squash";
  const region = squash ? box : shortened(box);
  const [width, height] = [region[2] - region[0], region[3] - region[1]];
  let size = [scaled, scaled];
  if (!squash && width > height) size = [Math.trunc((scaled * width) / height), scaled];
  else if (!squash) size = [scaled, Math.trunc((scaled * height) / width)];
  const [left, top] = size.map((length) => roundHalfToEven((length - side) / 2));
  const [across, down] = [width / size[0], height / size[1]];
  const used = [
    region[0] + left * across,
    region[1] + top * down,
    region[0] + (left + side) * across,
    region[1] + (top + side) * down,
  ];
  return { region, size, left, top, used };
}

/** @param {Box} box */
function shortened([left, top, right, bottom]) {
  const [width, height] = [right - left, bottom - top];
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  if (long <= MAX_ASPECT_RATIO * short) return [left, top, right, bottom];
  const cut = Math.floor((long - MAX_ASPECT_RATIO * short) / 2);
  return width > height ? [left + cut, top, right - cut, bottom] : [left, top + cut, right, bottom - cut];
}

/** @param {number} value */
export function roundHalfToEven(value) {
  const rounded = Math.round(value);
  return value % 1 !== 0 && (value * 2) % 1 === 0 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/**
 * Scale and crop a part of a picture.
 *
 * @param {ImageBitmap} bitmap
 * @param {ReturnType<typeof plan>} planned
 * @param {Preprocessing} preprocessing
 * @returns {Uint8Array} (resolution, resolution, channels)
 */
export function squarePixels(bitmap, { region, size, left, top }, preprocessing) {
  const { resolution: side, interpolation } = preprocessing;
  const channels = preprocessing.mean.length;
  const across = passWeights(region[2] - region[0], size[0], left, side, interpolation);
  const down = passWeights(region[3] - region[1], size[1], top, side, interpolation);
  const rowLength = side * channels;
  const scaled = new Uint8Array((down.high - down.low) * rowLength);
  const [width, height] = [across.high - across.low, Math.max(1, Math.floor(STRIP_PIXELS / (across.high - across.low)))];
  const canvas = new OffscreenCanvas(width, Math.min(height, down.high - down.low));
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingEnabled = false;
  for (let row = down.low; row < down.high; row += canvas.height) {
    const rows = Math.min(canvas.height, down.high - row);
    context.fillStyle = "white"; // transparent pixels become white
    context.fillRect(0, 0, width, rows);
    context.drawImage(bitmap, -(region[0] + across.low), -(region[1] + row));
    const colors = withChannels(context.getImageData(0, 0, width, rows).data, channels);
    scaleAcross(colors, rows, channels, across, scaled, (row - down.low) * rowLength);
  }
  return scaleDown(scaled, rowLength, down);
}

/**
 * RGBA to RGB or, with Pillow's weights, to grayscale; in place.
 *
 * @param {Uint8ClampedArray} data
 * @param {number} channels
 */
function withChannels(data, channels) {
  let to = 0;
  for (let from = 0; from < data.length; from += 4) {
    if (channels === 1) {
      data[to++] = (data[from] * 19595 + data[from + 1] * 38470 + data[from + 2] * 7471 + 0x8000) >> 16;
    } else {
      data[to++] = data[from];
      data[to++] = data[from + 1];
      data[to++] = data[from + 2];
    }
  }
  return data;
}

/**
 * (side, side, channels) of bytes -> (channels, side, side) of normalized float32, as PyTorch rounds it.
 *
 * @param {Uint8Array} pixels
 * @param {Preprocessing} preprocessing
 */
export function normalized(pixels, { mean, std }) {
  const channels = mean.length;
  const count = pixels.length / channels;
  const values = new Float32Array(pixels.length);
  for (let channel = 0; channel < channels; channel++) {
    const table = normalizedValues(mean[channel], std[channel]);
    for (let i = 0; i < count; i++) values[channel * count + i] = table[pixels[i * channels + channel]];
  }
  return values;
}

function normalizedValues(mean, std) {
  const middle = Math.fround(Math.fround(mean) * 255);
  const spread = Math.fround(Math.fround(std) * 255);
  return Float32Array.from({ length: 256 }, (_, value) => Math.fround(value - middle) / spread);
}
