// Line and area charts on uPlot.
import {brief, clock, duration, number, short} from './figures.js';
import {node} from './tables.js';

const css = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const color = s => s.color.startsWith('--') ? css(s.color) : s.color;

// Plot keeps one uPlot alive: it is drawn anew when its series, its width or
// the colours change, and otherwise only given data. The options: height, unit
// of the axis, log for a logarithmic one, ago where x is seconds before now.
export class Plot {
  constructor(host, options) {
    this.host = host;
    this.options = options;
    this.canvas = node('div', 'canvas');
    this.canvas.setAttribute('role', 'img');
    this.legend = node('ul', 'legend');
    new ResizeObserver(() => this.fit()).observe(host);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => { this.close(); this.draw(); });
  }

  // show takes [xs, ys...], the series that describe the ys ({label, color,
  // fill, value}), and a sentence for those who do not see the picture.
  show(data, series, sentence) {
    const shape = JSON.stringify([series.map(s => s.label), data[0].at(0), data[0].at(-1)]);
    if (shape !== this.shape) this.close();
    Object.assign(this, {data, series, shape});
    this.canvas.setAttribute('aria-label', sentence);
    this.draw();
  }

  close() {
    if (this.plot) this.plot.destroy();
    this.plot = null;
  }

  fit() {
    if (this.plot && this.host.clientWidth) this.plot.setSize({width: this.host.clientWidth, height: this.options.height});
  }

  draw() {
    if (!this.data) return;
    if (this.plot) {
      this.plot.setData(this.data);
      return;
    }
    this.host.replaceChildren(this.canvas, this.legend);
    this.legend.hidden = this.series.length < 2;
    this.legend.replaceChildren(...this.series.map(s => {
      const item = node('li', '', s.label), swatch = node('i');
      swatch.style.background = color(s);
      item.prepend(swatch);
      return item;
    }));
    this.plot = new uPlot(this.form(), this.data, this.canvas);
  }

  form() {
    const {height, log, ago, unit = ''} = this.options;
    const axis = {stroke: css('--soft'), ticks: {show: false}, font: '12px ' + css('--font'), gap: 6};
    const x = ago
      ? {incrs: [5, 10, 15, 30, 60, 120], values: (u, ticks) => ticks.map(t => t === 0 ? 'now' : '−' + duration(-t))}
      : {incrs: [10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400], values: (u, ticks, i, space, step) => ticks.map(t => short(t, step))};
    const write = t => unit === 's' ? duration(t) : brief(t) + unit;
    const y = log ? {splits: decades} : {};
    return {
      width: this.host.clientWidth, height, padding: [8, 18, 0, 0],
      scales: {x: {time: false, ...ago && {range: (u, min) => [Math.min(min, -60), 0]}}, y: log ? {distr: 3} : {range: (u, min, max) => [0, max > 0 ? max * 1.08 : 1]}},
      axes: [
        {...axis, ...x, space: 72, size: 28, grid: {show: false}},
        {...axis, ...y, size: 58, space: 36, grid: {stroke: css('--grid'), width: 1}, values: (u, ticks) => ticks.map(write)},
      ],
      cursor: {y: false, points: {size: 6}, drag: {x: false, y: false}},
      legend: {show: false},
      hooks: {init: [u => this.tip(u)], setCursor: [u => this.say(u)]},
      series: [{}, ...this.series.map(s => ({
        width: s.width ?? 1.75, spanGaps: false, points: {show: lonely},
        stroke: color(s), ...s.fill && {fill: color(s) + s.fill},
      }))],
    };
  }

  tip(u) {
    this.box = node('div', 'tip');
    this.box.hidden = true;
    u.over.append(this.box);
  }

  // say shows the figures under the pointer.
  say(u) {
    const {idx, left} = u.cursor;
    this.box.hidden = idx === null || idx === undefined || left < 0;
    if (this.box.hidden) return;
    const x = this.data[0][idx];
    this.box.replaceChildren(node('b', '', this.options.ago ? duration(-x) + ' ago' : clock(x)), ...this.series.flatMap((s, i) => {
      const y = s.value ? s.value(idx) : this.data[i + 1][idx];
      if (s.value && !y) return [];
      const line = node('span', '', `${s.label} ${number(y, s.digits || 0)}${y === null ? '' : s.unit || ''}`), swatch = node('i');
      swatch.style.background = color(s);
      line.prepend(swatch);
      return [line];
    }));
    const right = left > u.over.clientWidth / 2;
    this.box.style.left = right ? '' : left + 12 + 'px';
    this.box.style.right = right ? u.over.clientWidth - left + 12 + 'px' : '';
  }

  // fail says why there is nothing to see.
  fail(sentence) {
    this.close();
    this.data = this.shape = null;
    this.host.replaceChildren(node('p', 'empty', sentence));
  }
}

// decades are the lines of a logarithmic scale.
function decades(u, i, min, max) {
  const out = [];
  for (let e = Math.ceil(Math.log10(min)); e <= Math.log10(max) + 1e-9; e++) out.push(10 ** e);
  return out;
}

// lonely shows points where there are so few that no line is seen.
const lonely = (u, i) => u.data[i].filter(y => y !== null && y !== undefined).length < 3;
