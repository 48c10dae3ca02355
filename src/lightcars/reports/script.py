"""The script of a report: sorts tables and names the cells of a large confusion matrix.

The page is whole without it.
"""

from __future__ import annotations

import base64
import hashlib

SCRIPT = """
for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells], body = table.tBodies[0];
  const value = (row, column) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const number = text => /^-?[\\d.,]+( %)?$/.test(text) ? parseFloat(text.replaceAll(',', '')) : NaN;
  const compare = (a, b) => {
    const x = number(a), y = number(b);
    if (!isNaN(x) && !isNaN(y)) return x - y;
    return isNaN(x) === isNaN(y) ? a.localeCompare(b) : isNaN(x) ? 1 : -1;
  };
  heads.forEach((head, column) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      heads.forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const rows = [...body.rows].sort((a, b) => compare(value(a, column), value(b, column)));
      body.append(...(down ? rows.reverse() : rows));
    });
  });
}
for (const figure of document.querySelectorAll('figure.confusion')) {
  const image = figure.querySelector('img'), caption = figure.querySelector('figcaption');
  const names = JSON.parse(figure.dataset.classes), plain = caption.textContent;
  const counts = new Map(figure.dataset.counts.split(' ').map(cell => {
    const end = cell.lastIndexOf(',');
    return [cell.slice(0, end), cell.slice(end + 1)];
  }));
  const tell = event => {
    const box = image.getBoundingClientRect();
    const place = share => Math.min(names.length - 1, Math.max(0, Math.floor(share * names.length)));
    const column = place((event.clientX - box.left) / box.width);
    const row = place((event.clientY - box.top) / box.height);
    const count = counts.get(row + ',' + column) ?? '0';
    caption.textContent = `${names[row]}, predicted as ${names[column]}: ${count}`;
  };
  image.addEventListener('pointermove', tell);
  image.addEventListener('pointerdown', tell);
  image.addEventListener('pointerleave', () => { caption.textContent = plain; });
}
"""

DIGEST = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
"""SHA-256 of the script: the page's security policy lets a browser run this text and no other."""
