/** Shares a result as text; the picture stays on the device. */

/**
 * @param {string} title
 * @param {string} content
 * @returns {Promise<"shared" | "copied" | "cancelled">}
 */
export async function share(title, content) {
  if (navigator.share) {
    try {
      await navigator.share({ title, text: content });
      return "shared";
    } catch (error) {
      if (error.name === "AbortError") return "cancelled";
    }
  }
  await navigator.clipboard.writeText(content);
  return "copied";
}
