/** The camera: a live view, and pictures taken from it. */

/** The camera of the device, shown in a <video>. */
export class Camera {
  #video;
  /** @type {MediaStream | null} */
  #stream = null;
  #facing = "environment";

  /** @param {HTMLVideoElement} video */
  constructor(video) {
    this.#video = video;
  }

  /** Whether the browser gives cameras to this page at all. */
  static get isSupported() {
    return Boolean(navigator.mediaDevices?.getUserMedia);
  }

  get isOpen() {
    return this.#stream !== null;
  }

  /** Ask for the camera and show it; rejects if the user or the device refuses. */
  async open() {
    const video = { facingMode: this.#facing, width: { ideal: 1280 }, height: { ideal: 960 } };
    this.#stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    this.#video.srcObject = this.#stream;
    await this.#video.play();
  }

  /** Change between the cameras at the back and at the front. */
  async turn() {
    this.close();
    this.#facing = this.#facing === "user" ? "environment" : "user";
    await this.open();
  }

  close() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = null;
    this.#video.srcObject = null;
  }

  /** @returns {Promise<ImageBitmap>} what the camera sees now */
  frame() {
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
