/**
 * Antialiased resizing of 8-bit pixels in two passes, in the integer arithmetic of Pillow's `Image.resize`.
 *
 * Results are equal where Pillow scales across first, as all versions did. Pillow 13 scales some pictures down
 * first; there the 8-bit rounding between the passes makes values differ by one. Source: libImaging/Resample.c.
 */

const PRECISION_BITS = 22; // 32, without 8 of the result and 2 for the overshoot of the bicubic filter
const HALF = 1 << (PRECISION_BITS - 1);

const FILTERS = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  bicubic: { support: 2, weight: bicubic },
};

function bicubic(signed) {
  const a = -0.5;
  const x = Math.abs(signed);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

/**
 * Weights of a pass that scales `inSize` pixels to `outSize`, for `count` outputs from `first` on.
 *
 * @param {number} inSize
 * @param {number} outSize
 * @param {number} first
 * @param {number} count
 * @param {"bilinear" | "bicubic"} interpolation
 * @returns {{starts: Int32Array, lengths: Int32Array, weights: Int32Array, stride: number, low: number,
 *   high: number}} for each output its first input, their number and weights; all inputs are in [low, high).
 */
export function passWeights(inSize, outSize, first, count, interpolation) {
  const { support: width, weight } = FILTERS[interpolation];
  const scale = inSize / outSize;
  const filterScale = Math.max(1, scale);
  const support = width * filterScale;
  const stride = Math.ceil(support) * 2 + 1;
  const starts = new Int32Array(count);
  const lengths = new Int32Array(count);
  const weights = new Int32Array(count * stride);
  let [low, high] = [inSize, 0];
  for (let i = 0; i < count; i++) {
    const center = (first + i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(inSize, Math.trunc(center + support + 0.5));
    const exact = [];
    for (let x = start; x < end; x++) exact.push(weight((x - center + 0.5) * (1 / filterScale)));
    const sum = exact.reduce((total, value) => total + value, 0);
    exact.forEach((value, k) => {
      const scaled = (sum === 0 ? value : value / sum) * (1 << PRECISION_BITS);
      weights[i * stride + k] = Math.trunc(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
    });
    starts[i] = start;
    lengths[i] = end - start;
    [low, high] = [Math.min(low, start), Math.max(high, end)];
  }
  return { starts, lengths, weights, stride, low, high };
}

/**
 * Scale rows across, and append them to `out`.
 *
 * @param {Uint8ClampedArray} pixels rows of (high - low) pixels of `channels` values, one after the other
 * @param {number} rows
 * @param {number} channels
 * @param {ReturnType<typeof passWeights>} pass
 * @param {Uint8Array} out rows of scaled pixels of `channels` values
 * @param {number} offset where in `out` the first row begins
 */
export function scaleAcross(pixels, rows, channels, pass, out, offset) {
  const { starts, lengths, weights, stride, low, high } = pass;
  const rowLength = (high - low) * channels;
  let to = offset;
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < starts.length; i++) {
      const from = row * rowLength + (starts[i] - low) * channels;
      for (let channel = 0; channel < channels; channel++) {
        let sum = HALF;
        let at = from + channel;
        for (let k = i * stride, end = k + lengths[i]; k < end; k++) {
          sum = (sum + Math.imul(pixels[at], weights[k])) | 0;
          at += channels;
        }
        out[to++] = clipped(sum);
      }
    }
  }
}

/**
 * Scale rows down the image.
 *
 * @param {Uint8Array} pixels rows [low, high) of `rowLength` values, one after the other
 * @param {number} rowLength
 * @param {ReturnType<typeof passWeights>} pass
 * @returns {Uint8Array} rows of `rowLength` values
 */
export function scaleDown(pixels, rowLength, pass) {
  const { starts, lengths, weights, stride, low } = pass;
  const out = new Uint8Array(starts.length * rowLength);
  const sums = new Int32Array(rowLength);
  for (let i = 0; i < starts.length; i++) {
    sums.fill(HALF);
    for (let k = 0; k < lengths[i]; k++) {
      const weight = weights[i * stride + k];
      const from = (starts[i] - low + k) * rowLength;
      for (let x = 0; x < rowLength; x++) sums[x] += Math.imul(pixels[from + x], weight);
    }
    for (let x = 0; x < rowLength; x++) out[i * rowLength + x] = clipped(sums[x]);
  }
  return out;
}

function clipped(sum) {
  const value = sum >> PRECISION_BITS;
  return value < 0 ? 0 : value > 255 ? 255 : value;
}
