// Tables and ranked lists in plain HTML. Nothing here knows where the figures
// come from.

export function node(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

// breakable is a text that goes on in a new line after a slash.
export function breakable(text) {
  const out = document.createDocumentFragment();
  text.split(/(?<=\/)/).forEach(part => out.append(part, node('wbr')));
  return out;
}

// role is said out loud, because a narrow window shows rows as blocks, and
// then a browser no longer takes them for a table.
function cell(tag, role, className, content) {
  const e = node(tag, className);
  e.setAttribute('role', role);
  e.append(content);
  return e;
}

// table draws rows under headings. A column is {title, className, value}, where
// value makes a text or an element of a row.
export function table(host, columns, rows) {
  host.setAttribute('role', 'table');
  const head = cell('tr', 'row', '', ''), body = node('tbody'), thead = node('thead');
  columns.forEach(c => head.append(cell('th', 'columnheader', c.className, c.title)));
  thead.append(head);
  [thead, body].forEach(e => e.setAttribute('role', 'rowgroup'));
  rows.forEach(r => {
    const tr = cell('tr', 'row', r.className || '', '');
    columns.forEach((c, i) => {
      const td = cell(i ? 'td' : 'th', i ? 'cell' : 'rowheader', c.className, c.value(r));
      td.dataset.label = c.title;
      tr.append(td);
    });
    body.append(tr);
  });
  host.replaceChildren(thead, body);
}

// ranked is a table whose first column has a bar: as long as the row's share
// of the largest, or of the sum of all.
export function ranked(host, columns, rows, of = Math.max) {
  const whole = of(...rows.map(r => r[1]), 0);
  const [first, ...rest] = columns;
  table(host, [{...first, value: r => {
    const name = node('span', 'name'), track = node('span', 'track'), bar = node('i');
    bar.style.width = whole > 0 ? 100 * r[1] / whole + '%' : '0';
    track.append(bar);
    name.append(first.value(r), track);
    return name;
  }}, ...rest], rows);
}
