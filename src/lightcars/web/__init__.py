"""A static web page that classifies pictures in the browser, for phones: `lightcars export --to web`.

- `export` writes the folder. `conversion` makes and verifies the ONNX files: `graph` converts, `storage`
  makes weights small. `runtime` finds ONNX Runtime Web, `page` fills in title, colors, texts and icons,
  `policy` says what a browser may load.
- `site/` holds the page itself, which is copied: HTML, CSS and JavaScript modules without a build step.
- `server` serves such a folder on this machine, for phones in the same network too.
"""
