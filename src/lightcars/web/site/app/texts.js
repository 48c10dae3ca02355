/** The texts of the page, in the language of the user. */

const FALLBACK = "en";

/** @type {Record<string, string>} */
let texts = {};
let ending = "";

/** The language of the page, such as "en". */
export let language = FALLBACK;

/**
 * Load the texts and put them into the page.
 *
 * @param {string[]} known languages of the site
 * @param {string} subject "car" prefers texts whose keys end in _car
 * @param {string | null} wanted null for the browser's
 */
export async function loadTexts(known, subject, wanted = null) {
  const preferred = [wanted, ...navigator.languages.map((tag) => tag.split("-")[0]), FALLBACK];
  language = preferred.find((tag) => known.includes(tag)) ?? known[0];
  const response = await fetch(`texts/${language}.json`);
  texts = await response.json();
  ending = `_${subject}`;
  document.documentElement.lang = language;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = text(node.dataset.text);
  for (const node of document.querySelectorAll("[data-label]")) {
    node.setAttribute("aria-label", text(node.dataset.label));
  }
}

/**
 * @param {string} key
 * @param {Record<string, string | number>} values for names in braces, as in "{count} cars"
 */
export function text(key, values = {}) {
  return (texts[key + ending] ?? texts[key] ?? "").replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/** @param {number} probability */
export function percent(probability) {
  const format = { style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 };
  return new Intl.NumberFormat(language, format).format(probability);
}
