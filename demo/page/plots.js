// Line charts on uPlot, and bars and tables in plain HTML. Nothing here knows
// where the figures come from.
'use strict';

const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// number is a figure for people; unknown stays unknown.
function number(x, digits = 0) {
  if (x === null || x === undefined || Number.isNaN(x)) return '–';
  return x.toLocaleString('en', {minimumFractionDigits: digits, maximumFractionDigits: digits}).replaceAll(',', '\u202f');
}

// clock is the time of day of a moment, in the zone it is written in.
const clock = t => new Date(t * 1e3).toISOString().slice(11, 19);

function node(tag, className, text) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
}

// Plot keeps one uPlot alive: it is drawn anew when its series, its width or
// the colours change, and otherwise only given data.
class Plot {
  constructor(host, options) {
    this.host = host;
    this.options = options;
    new ResizeObserver(() => this.fit()).observe(host);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { this.close(); this.draw(); });
  }

  // show takes [xs, ys...] and the series that describe the ys.
  show(data, series) {
    this.data = data;
    const shape = JSON.stringify(series.map(s => s.label));
    if (shape !== this.shape) this.close();
    this.shape = shape;
    this.series = series;
    this.draw();
  }

  close() {
    if (this.plot) this.plot.destroy();
    this.plot = null;
  }

  fit() {
    if (this.plot && this.host.clientWidth) this.plot.setSize({width: this.width(), height: this.options.height});
  }

  width() {
    const style = getComputedStyle(this.host);
    return Math.max(120, this.host.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight));
  }

  draw() {
    if (!this.data) return;
    if (this.plot) {
      this.plot.setData(this.data);
      return;
    }
    this.host.replaceChildren();
    const axis = {stroke: css('--soft'), grid: {stroke: css('--grid'), width: 1}, ticks: {stroke: css('--grid'), width: 1}, font: '12px system-ui, sans-serif'};
    this.plot = new uPlot({
      width: this.width(), height: this.options.height, padding: [null, 28, null, null],
      scales: {x: {time: false}, y: this.options.log ? {distr: 3} : {range: (u, min, max) => [0, max > 0 ? max * 1.08 : 1]}},
      axes: [
        this.options.relative
          ? {...axis, incrs: [1, 5, 10, 15, 30, 60], values: (u, ticks) => ticks.map(t => t === 0 ? 'now' : t + ' s')}
          : {...axis, incrs: [10, 30, 60, 120, 300, 600], space: 60, values: (u, ticks) => ticks.map(clock)},
        {...axis, size: 52, values: (u, ticks) => ticks.map(t => t === null ? '' : t > 0 && t < 10 ? String(+t.toPrecision(2)) : number(t))},
      ],
      cursor: {y: false, points: {size: 6}},
      legend: {live: true},
      series: [
        {label: '\u00a0', value: (u, t) => t === null ? '' : this.options.relative ? number(t) + ' s' : clock(t)},
        ...this.series.map(s => ({
          width: 1.5, spanGaps: false, points: {show: false},
          value: (u, y, _, i) => i === null ? '' : number(y, s.digits || 0),
          ...s, stroke: css(s.color) || s.color,
          ...s.fill && {fill: (css(s.color) || s.color) + s.fill},
        })),
      ],
    }, this.data, this.host);
  }

  // fail says why there is nothing to see.
  fail(text, className) {
    this.close();
    this.data = null;
    this.shape = null;
    this.host.replaceChildren(node('p', className, text));
  }
}

// bars draws rows of [name, value]: as long as their share of the largest.
function bars(host, rows, text) {
  const most = Math.max(...rows.map(r => r[1]), 0);
  host.replaceChildren(...rows.flatMap(r => {
    const name = node('div', 'name'), bar = node('i');
    bar.style.width = most > 0 ? 100 * r[1] / most + '%' : 0;
    name.title = r[0];
    name.append(bar, node('span', '', r[0]));
    return [name, node('div', 'value', text(r))];
  }));
}

// table draws rows under headings; a column is {title, className, text, look}.
function table(host, columns, rows) {
  const head = node('tr');
  columns.forEach(c => head.append(node('th', c.className === 'n' ? 'n' : '', c.title)));
  const thead = node('thead'), body = node('tbody');
  thead.append(head);
  rows.forEach(r => {
    const tr = node('tr', r.className);
    columns.forEach(c => {
      const text = c.text(r), td = node('td', c.look ? c.look(r) : c.className, text);
      if (c.className === 'text') td.title = text;
      tr.append(td);
    });
    body.append(tr);
  });
  if (!rows.length) {
    const td = node('td', 'empty', 'nothing yet');
    td.colSpan = columns.length;
    body.append(node('tr'));
    body.lastChild.append(td);
  }
  host.replaceChildren(thead, body);
}
