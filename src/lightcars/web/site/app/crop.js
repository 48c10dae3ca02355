/** The box on the picture: what the model sees, which the user can change by pointer and keyboard. */

const SMALLEST = 24; // pixels of the picture
const STEP = 0.04; // of the picture's shorter side, for a key

/** Shows boxes over an element of the page that shows a picture. */
export class CropBox {
  #frame;
  #box;
  #size = { width: 1, height: 1 };
  #current = [0, 0, 1, 1];
  #changed;
  #start = null;

  /**
   * @param {HTMLElement} frame as large as the picture is shown
   * @param {HTMLElement} box inside of it
   * @param {(box: number[] | null) => void} changed called when the user chose a box, or the whole picture
   */
  constructor(frame, box, changed) {
    [this.#frame, this.#box, this.#changed] = [frame, box, changed];
    frame.addEventListener("pointerdown", (event) => this.#begin(event));
    frame.addEventListener("pointermove", (event) => this.#drag(event));
    frame.addEventListener("pointerup", () => this.#end());
    frame.addEventListener("pointercancel", () => this.#end());
    box.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * @param {{width: number, height: number}} size of the picture
   * @param {number[]} box left, top, right, bottom
   */
  show(size, box) {
    this.#size = size;
    this.#current = box;
    this.#frame.style.setProperty("--ratio", String(size.width / size.height));
    this.#place();
  }

  /** Choose the whole picture again. */
  reset() {
    this.#changed(null);
  }

  #place() {
    place(this.#box, this.#current, this.#size);
  }

  #point(event) {
    const shown = this.#frame.getBoundingClientRect();
    const x = ((event.clientX - shown.left) / shown.width) * this.#size.width;
    const y = ((event.clientY - shown.top) / shown.height) * this.#size.height;
    return [between(0, x, this.#size.width), between(0, y, this.#size.height)];
  }

  #begin(event) {
    if (event.button !== 0) return;
    this.#start = { at: this.#point(event), moved: false };
    this.#frame.setPointerCapture(event.pointerId);
  }

  #drag(event) {
    if (this.#start === null) return;
    const [x, y] = this.#point(event);
    const [x0, y0] = this.#start.at;
    if (Math.abs(x - x0) < SMALLEST || Math.abs(y - y0) < SMALLEST) return;
    this.#start.moved = true;
    this.#current = rounded([Math.min(x, x0), Math.min(y, y0), Math.max(x, x0), Math.max(y, y0)]);
    this.#place();
  }

  #end() {
    if (this.#start?.moved) this.#changed(this.#current);
    this.#start = null;
  }

  #key(event) {
    if (event.key === "Escape") this.reset();
    const directions = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const direction = directions[event.key];
    if (direction === undefined) return;
    event.preventDefault();
    const { width, height } = this.#size;
    const [x, y] = direction.map((sign) => sign * STEP * Math.min(width, height));
    const [left, top, right, bottom] = this.#current;
    let box;
    if (event.shiftKey) {
      box = [left, top, between(left + SMALLEST, right + x, width), between(top + SMALLEST, bottom + y, height)];
    } else {
      const across = between(-left, x, width - right);
      const down = between(-top, y, height - bottom);
      box = [left + across, top + down, right + across, bottom + down];
    }
    this.#current = rounded(box);
    this.#place();
    this.#changed(this.#current);
  }
}

/**
 * Put an element where a box of the picture is.
 *
 * @param {HTMLElement} element
 * @param {number[]} box
 * @param {{width: number, height: number}} size of the picture
 */
export function place(element, [left, top, right, bottom], { width, height }) {
  Object.assign(element.style, {
    left: `${(100 * left) / width}%`,
    top: `${(100 * top) / height}%`,
    width: `${(100 * (right - left)) / width}%`,
    height: `${(100 * (bottom - top)) / height}%`,
  });
}

function between(least, value, most) {
  return Math.min(Math.max(least, value), most);
}

function rounded(box) {
  return box.map(Math.round);
}
