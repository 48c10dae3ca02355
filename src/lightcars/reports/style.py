"""The style sheet of a report, with a light and a dark palette."""

from lightcars.plots import COLORS

_DARK = ("#2b8fd6", "#f0743a", "#14b88a", "#e3a2c6", "#ffc94d", "#a5e0ff", "#6a5acd", "#7a7a7a")
"""The same colors for a dark page."""


def _palette(colors: tuple[str, ...]) -> str:
    return " ".join(f"--c{position}: {color};" for position, color in enumerate(colors))


_SHEET = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #ffffff; --soft: #5d6878; --line: #d5dbe3;
  --tile: #f3f5f8; --mark: #ffe9a8; PALETTE }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --paper: #14181f; --soft: #9aa5b5;
  --line: #353d49; --tile: #1e242d; --mark: #5c4a12; DARK } }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
p { margin: .3rem 0; max-width: 60rem; }
.soft, figcaption { color: var(--soft); }
.note { border-left: 4px solid var(--c4); padding: .1rem .7rem; background: var(--tile); }
.tiles, .charts, .images { display: flex; flex-wrap: wrap; gap: .8rem; margin: .8rem 0; }
.tiles div { background: var(--tile); border-radius: 8px; padding: .4rem .7rem; }
.tiles dt { color: var(--soft); font-size: .8rem; }
.tiles dd { margin: 0; font-size: 1.1rem; font-weight: 600; }
figure { margin: 0; }
figcaption { font-size: .8rem; overflow-wrap: anywhere; }
.charts figure { flex: 1 1 20rem; max-width: 30rem; }
.images figure { width: 168px; }
.few figure { width: 104px; }
.few { margin: 0; gap: .4rem; }
img { max-width: 100%; border-radius: 4px; display: block; }
.gone { border: 1px dashed var(--line); padding: .5rem; font-size: .75rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
.tall { max-height: 34rem; overflow-y: auto; width: fit-content; max-width: 100%; }
.tall thead th { position: sticky; top: 0; background: var(--paper); }
th button { all: unset; cursor: pointer; white-space: nowrap; }
th button:focus-visible { outline: 2px solid var(--c0); }
th button::after { content: " \\2195"; color: var(--soft); }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
table { border-collapse: collapse; margin: .6rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: left;
  vertical-align: top; }
th { font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
mark { background: var(--mark); color: inherit; padding: 0 .2rem; border-radius: 3px; }
.matrix { width: auto; }
.matrix td { text-align: center; min-width: 1.5rem; padding: .15rem; border: 1px solid var(--line); }
.matrix thead td { border: 0; }
.matrix thead th { writing-mode: vertical-rl; transform: rotate(180deg); font-weight: 400;
  font-size: .78rem; border: 0; white-space: nowrap; padding: .3rem 0; }
.matrix tbody th { font-weight: 400; font-size: .85rem; white-space: nowrap; }
.confusion { max-width: 40rem; }
.confusion img { width: 100%; image-rendering: pixelated; border-radius: 0; outline: 1px solid var(--line);
  touch-action: none; cursor: crosshair; }
.confusion figcaption { min-height: 3em; }
.grid th { white-space: nowrap; font-weight: 400; }
.grid td { width: 100%; border: 0; padding: 1px; }
.grid img { width: 100%; min-width: min(30rem, 60vw); height: 22px;
  image-rendering: pixelated; border-radius: 0; outline: 1px solid var(--line); }
svg { width: 100%; height: auto; display: block; }
svg text { fill: var(--ink); font-size: 12px; }
svg .title { text-anchor: middle; font-weight: 600; font-size: 13px; }
svg .name, svg .x { text-anchor: middle; }
svg .y { text-anchor: end; }
svg .axis, svg .grid { fill: none; stroke: var(--line); }
svg .grid { opacity: .6; }
svg .ideal { stroke: var(--soft); stroke-dasharray: 5 4; }
svg .confidence { stroke: var(--ink); stroke-width: 2; }
.key { display: inline-block; width: 24px; height: 8px; }
.legend span { margin-right: .8rem; white-space: nowrap; }
svg .label { font-size: 9px; }
svg .left { text-anchor: end; }
svg .ring { fill: none; stroke: var(--ink); stroke-width: 1.2; }
svg .front { stroke: var(--soft); stroke-dasharray: 4 3; }
polyline, .key path { fill: none; stroke-width: 1.8; }
.dashed { stroke-dasharray: 5 3; opacity: .75; }
.band { fill: transparent; }
.guide { stroke: var(--soft); stroke-dasharray: 2 2; }
.guide, .tip { opacity: 0; pointer-events: none; }
.at:hover .guide, .at:hover .tip { opacity: 1; }
.tip rect { fill: var(--paper); stroke: var(--line); }
svg .tip text { font-size: 10.5px; }
@media (max-width: 600px) {
  body { padding: 1rem .7rem 2rem; }
  .images figure { width: calc(50% - .4rem); }
  .few figure { width: calc(50% - .2rem); }
  .stacked thead:not(:has(button)) { display: none; }
  .stacked thead tr { display: flex; flex-wrap: wrap; gap: .2rem .8rem; }
  .stacked thead th { border: 0; padding: .2rem 0; }
  .stacked, .stacked tbody, .stacked tr, .stacked td { display: block; }
  .stacked tr { border-bottom: 1px solid var(--line); padding: .3rem 0; }
  .stacked td { border: 0; padding: .05rem 0; text-align: left; overflow-wrap: anywhere; }
  .stacked td:not(:first-child)::before { content: attr(data-name) ": "; color: var(--soft); }
  .stacked td:first-child { font-weight: 600; }
  .matrix tbody th { white-space: normal; min-width: 6rem; }
}
"""

STYLE = _SHEET.replace("PALETTE", _palette(COLORS)).replace("DARK", _palette(_DARK)) + "".join(
    f".c{i} {{ stroke: var(--c{i}); }} .f{i} {{ fill: var(--c{i}); }}\n" for i in range(len(COLORS))
)
