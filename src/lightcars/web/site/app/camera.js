/** The camera: a live view, and pictures taken from it. */

/** The camera of the device, shown in a <video>. */
export class Camera {
  #video;
  /** @type {MediaStream | null} */
  #stream = null;
  #facing = "environment";
  #request = 0; // the latest; what earlier ones get is closed again

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
  }

  /** Whether the browser gives cameras to this page at all. */
  static get isSupported() {
    return Boolean(navigator.mediaDevices?.getUserMedia);
  }

  /**
   * Ask for the camera and show it; rejects if the user or the device refuses.
   *
   * @returns {Promise<boolean>} false if it was closed or asked for again meanwhile
   */
  async open() {
    const mine = ++this.#request;
    const video = { facingMode: this.#facing, width: { ideal: 1280 }, height: { ideal: 960 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    if (mine !== this.#request) {
      stop(stream);
      return false;
    }
    this.#stream = stream;
    this.#video.srcObject = stream;
    await this.#video.play();
    return mine === this.#request;
  }

  /** Change between the cameras at the back and at the front. */
  async turn() {
    this.close();
    this.#facing = this.#facing === "user" ? "environment" : "user";
    await this.open();
  }

  close() {
    this.#request++;
    if (this.#stream !== null) stop(this.#stream);
    this.#stream = null;
    this.#video.srcObject = null;
  }

  /** @returns {Promise<ImageBitmap | null>} what the camera sees now; null while there is no picture */
  async frame() {
    const { HAVE_CURRENT_DATA } = HTMLMediaElement;
    if (this.#stream === null || this.#video.readyState < HAVE_CURRENT_DATA) return null;
    return createImageBitmap(this.#video);
  }

  /** @returns {Promise<Blob>} what the camera sees now, as a file */
  async take() {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [this.#video.videoWidth, this.#video.videoHeight];
    canvas.getContext("2d").drawImage(this.#video, 0, 0);
    return new Promise((resolve, reject) => {
      canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no picture"))), "image/jpeg", 0.95);
    });
  }
}

/** @param {MediaStream} stream */
function stop(stream) {
  for (const track of stream.getTracks()) track.stop();
}
