"""The style sheet of a report, with a light and a dark palette."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #ffffff; --soft: #5d6878; --line: #d5dbe3;
  --tile: #f3f5f8; --mark: #ffe9a8; --c0: #2563eb; --c1: #d9480f; --c2: #16803c; --c3: #9333ea;
  --c4: #b8860b; --c5: #0e7490; --c6: #be185d; --c7: #64748b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --paper: #14181f; --soft: #9aa5b5;
  --line: #353d49; --tile: #1e242d; --mark: #5c4a12; --c0: #6ea0ff; --c1: #ff8a5c; --c2: #5fcf85;
  --c3: #c792ff; --c4: #e2b93b; --c5: #4cc3de; --c6: #ff7ab5; --c7: #9aa5b5; } }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 76rem; background: var(--paper);
  color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .2rem; }
h2 { font-size: 1.2rem; margin: 2.2rem 0 .4rem; }
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
table { border-collapse: collapse; margin: .6rem 0; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .6rem; text-align: left;
  vertical-align: top; }
th { font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
mark { background: var(--mark); color: inherit; padding: 0 .2rem; border-radius: 3px; }
.matrix td { text-align: center; min-width: 1.5rem; padding: .15rem; border: 1px solid var(--line); }
.matrix thead th { writing-mode: vertical-rl; transform: rotate(180deg); font-weight: 400;
  font-size: .78rem; border: 0; max-height: 14rem; }
.matrix tbody th { font-weight: 400; font-size: .85rem; white-space: nowrap; }
.grid th { white-space: nowrap; font-weight: 400; }
.grid td { width: 100%; border: 0; padding: 1px; }
.grid img { width: 100%; min-width: 30rem; height: 22px; image-rendering: pixelated; border-radius: 0;
  outline: 1px solid var(--line); }
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
""" + "".join(f".c{i} {{ stroke: var(--c{i}); }} .f{i} {{ fill: var(--c{i}); }}\n" for i in range(8))
