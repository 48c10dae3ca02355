/** Opens pictures from files, the clipboard and the camera. */

const MAX_PIXELS = 100_000_000;
const MAX_BYTES = 256 * 2 ** 20;

/** A picture that cannot be used; the message is a key of the texts. */
export class PictureError extends Error {}

/**
 * @typedef {object} Picture
 * @property {Blob} blob the file
 * @property {string} address of the blob, for <img>
 * @property {ImageBitmap} bitmap upright, in the colors of the file
 */

/**
 * @param {Blob} blob
 * @returns {Promise<Picture>}
 */
export async function openPicture(blob) {
  if (blob.size === 0) throw new PictureError("error_empty");
  if (blob.size > MAX_BYTES) throw new PictureError("error_large");
  const address = URL.createObjectURL(blob);
  try {
    const size = await sizeOf(address, blob);
    if (size.width * size.height > MAX_PIXELS) throw new PictureError("error_large");
    return { blob, address, bitmap: await decoded(blob) };
  } catch (error) {
    URL.revokeObjectURL(address);
    throw error;
  }
}

/** @param {Picture} picture */
export function closePicture(picture) {
  picture.bitmap.close();
  URL.revokeObjectURL(picture.address);
}

/** Read the size from the file's header, before anything is decoded. */
function sizeOf(address, blob) {
  return new Promise((resolve, reject) => {
    const image = new Image();
    image.addEventListener("load", () => resolve({ width: image.naturalWidth, height: image.naturalHeight }));
    image.addEventListener("error", () => reject(new PictureError(isHeic(blob) ? "error_heic" : "error_type")));
    image.src = address;
  });
}

/** @param {Blob} blob */
function isHeic(blob) {
  return /hei[cf]/i.test(blob.type) || /\.hei[cf]$/i.test(blob.name ?? "");
}

async function decoded(blob) {
  try {
    return await createImageBitmap(blob, { colorSpaceConversion: "none" }); // upright, as EXIF says, by default
  } catch (error) {
    if (!["InvalidStateError", "EncodingError"].includes(error.name)) throw error;
    throw new PictureError("error_damaged");
  }
}
