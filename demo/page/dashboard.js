// The eight charts over a time range.
import {clock, duration, number, seconds, stamp, unit} from './figures.js';
import {Plot} from './plot.js';
import {breakable, node, ranked, table} from './tables.js';

const $ = selector => document.querySelector(selector);
const host = $('#dashboard'), form = $('#range');

const plots = Object.fromEntries(Object.entries({
  requests: {height: 172}, error_rate: {height: 172, unit: '\u00a0%'},
  response_time: {height: 220, log: true, unit: 's'}, by_status: {height: 220, unit: '/s'},
}).map(([id, options]) => [id, new Plot($(`#${id} .plot`), options)]));

// --- pictures ---------------------------------------------------------------

const total = xs => xs.reduce((a, x) => a + x, 0);
const sub = (id, text) => { $(`#${id} .sub`).textContent = text; };
const big = (id, text) => { $(`#${id} .big`).textContent = text; };
const n = (title, index, digits = 0) => ({title, className: 'n', value: r => number(r[index], digits)});
const url = {title: 'URL', className: '', value: r => breakable(r[0])};
const time = {title: 'time', className: 'n', value: r => stamp(r[0])};

// spoken is the range for people: a day is said once.
function spoken(a) {
  const [from, to] = [stamp(a.from), stamp(a.to)];
  return `${from} to ${from.slice(0, 10) === to.slice(0, 10) ? to.slice(11) : to}`;
}

// axis is every moment of the range, also those without a request.
function axis(a) {
  const from = seconds(a.from), to = seconds(a.to), out = [];
  for (let t = from - from % a.bucket; t < to; t += a.bucket) out.push(t);
  return out;
}

// along lays values of rows on the axis; where there is no row stands none.
function along(times, rows, index, none) {
  const at = new Map(rows.map(r => [seconds(r[0]), r[index]]));
  return times.map(t => at.has(t) ? at.get(t) : none);
}

const classes = {2: ['#2b6cb0', '#5b96cf', '#8fbbe4', '#bcd8f0'], 3: ['#6f7d8c', '#a3afbb'],
  4: ['#c77700', '#e89c2c', '#f4bd68', '#f9d9a6', '#fcebcf'], 5: ['#8f1239', '#bb3a5d', '#dd7590', '#efabbd']};

// stack lays the shares of the codes upon each other, errors at the bottom
// where they are seen best. A code has its shade whatever others there are.
function stack(times, rows) {
  const codes = [...new Set(rows.map(r => r[1]))].sort((x, y) => y - x), sum = times.map(() => 0), used = {};
  const series = codes.map(code => {
    const kind = Math.floor(code / 100), shades = classes[kind] || ['#808080'];
    const own = along(times, rows.filter(r => r[1] === code), 2, 0);
    const color = shades[Math.min(used[kind] = (used[kind] ?? -1) + 1, shades.length - 1)];
    return {own, tops: own.map((y, i) => sum[i] += y), label: String(code), color, fill: 'ff', width: 0, digits: 1, unit: '/s', value: i => own[i]};
  });
  return series.reverse(); // the highest area is drawn first
}

const drawn = {
  requests(rows, times, a) {
    const all = total(rows.map(r => r[1]));
    big('requests', number(all));
    sub('requests', `per ${duration(a.bucket)}`);
    plots.requests.show([times, along(times, rows, 1, 0)], [{label: 'requests', color: '--s2', fill: '2e'}],
      `${number(all)} requests from ${a.spoken}`);
    table($('#requests table'), [time, n('requests', 1)], rows);
  },
  error_rate(rows, times, a) {
    const failed = total(rows.map(r => r[2])), all = total(rows.map(r => r[3]));
    big('error_rate', unit(100 * failed / all, 2, '%'));
    sub('error_rate', `status 400 and above; per ${duration(a.bucket)}`);
    plots.error_rate.show([times, along(times, rows, 1, null)], [{label: 'error rate', color: '--bad', digits: 2, unit: ' %', fill: '2e'}],
      `${number(failed)} of ${number(all)} requests failed, ${unit(100 * failed / all, 2, '%')}, from ${a.spoken}`);
    table($('#error_rate table'), [time, n('error rate, %', 1, 2), n('errors', 2), n('requests', 3)], rows);
  },
  response_time(rows, times, a) {
    sub('response_time', `average and maximum per ${duration(a.bucket)}, on a logarithmic scale`);
    plots.response_time.show([times, along(times, rows, 1, null), along(times, rows, 2, null)],
      [{label: 'average', color: '--s2', digits: 3, unit: ' s'}, {label: 'maximum', color: '--s3', digits: 3, unit: ' s'}],
      `Response times from ${a.spoken}: averages up to ${unit(Math.max(...rows.map(r => r[1])), 3, 's')}, the longest ${unit(Math.max(...rows.map(r => r[2])), 3, 's')}`);
    table($('#response_time table'), [time, n('average, s', 1, 3), n('maximum, s', 2, 3)], rows);
  },
  by_status(rows, times, a) {
    const series = stack(times, rows), codes = [...series].sort((x, y) => x.label - y.label);
    plots.by_status.show([times, ...series.map(s => s.tops)], series,
      `Requests per second by status from ${a.spoken}, on average ` + codes.map(s => `${s.label}: ${number(total(s.own) / times.length, 2)}`).join(', '));
    table($('#by_status table'), [{title: 'time', className: 'n', value: i => clock(times[i])},
      ...codes.map(s => ({title: s.label, className: 'n', value: i => number(s.own[i], 1)}))], times.map((t, i) => i));
  },
  projects(rows) {
    const all = total(rows.map(r => r[1]));
    ranked($('#projects table'), [{title: 'project', className: '', value: r => r[0]},
      {title: 'share', className: 'n', value: r => unit(100 * r[1] / all, 1, '%')}, n('requests', 1)], rows, (...ns) => total(ns));
  },
  slowest: rows => ranked($('#slowest table'), [url, n('average, s', 1, 3), n('requests', 2)], rows),
  errors: rows => ranked($('#errors table'), [url, n('errors', 1), n('requests', 2)], rows.filter(r => r[1] > 0)),
  error_list: rows => table($('#error_list table'), [
    {title: 'time', className: 'n', value: r => stamp(r[0])},
    {title: 'status', className: 'n', value: r => node('span', 'code c' + Math.floor(r[1] / 100), String(r[1]))},
    {title: 'seconds', className: 'n', value: r => number(r[2], 3)},
    {title: 'message', className: 'text', value: r => r[3]},
  ], rows),
};

// --- asking -----------------------------------------------------------------

const state = s => { host.dataset.state = s; host.setAttribute('aria-busy', String(s === 'asking')); };
let shown = null; // the answer whose figures are on the page
let asking = null; // the question that is under way

// showCharts asks for the chosen range and shows it; it gives the pause, in
// milliseconds, after which an answer would be a new one.
export async function showCharts(ask) {
  const query = chosen, mine = asking = new AbortController();
  state('asking');
  if (shown?.query !== query) $('#asked').textContent = 'Asking StarRocks …';
  try {
    const a = await ask('charts?' + query, mine.signal);
    if (mine.signal.aborted) return 0;
    if (a.error) refuse(a.error);
    else show({...a, query, spoken: spoken(a)});
    return a.again;
  } catch (e) {
    if (mine.signal.aborted) return 0;
    refuse(e.message);
    throw e;
  }
}

function show(a) {
  const times = axis(a), none = !a.charts.requests.length;
  let sentence = '';
  if (none) sentence = 'No requests in this range.';
  for (const [id, draw] of Object.entries(drawn)) {
    const rows = a.charts[id], plot = plots[id];
    $(`#${id} details`)?.toggleAttribute('hidden', none);
    const empty = sentence || (!rows.length && 'No errors in this range.');
    if (!empty) draw(rows, times, a);
    else if (plot) plot.fail(empty);
    else $(`#${id} table`).replaceChildren(node('caption', 'empty', empty));
    if (none && $(`#${id} .big`)) big(id, '–');
  }
  shown = a;
  $('#stale').hidden = true;
  $('#asked').textContent = `${a.spoken}. Eight queries over the MySQL protocol took ${unit(a.millis / 1e3, 1, 's')}.`;
  Object.assign(host.dataset, {from: a.from, to: a.to, range: a.query});
  state('shown');
}

// refuse says what is wrong, and that the figures, if there are any, are old.
function refuse(sentence) {
  const stale = $('#stale');
  stale.hidden = !sentence;
  stale.textContent = sentence + (shown ? ` These figures are from ${clock(seconds(shown.at))}.` : '');
  $('#asked').textContent = shown ? `Old figures: ${shown.spoken}.` : 'No figures yet.';
  if (!shown) Object.values(plots).forEach(p => p.fail('No figures yet.'));
  state('stale');
}

export async function showNewest(ask) {
  const a = await ask('newest');
  if (a.error) {
    $('#newest').replaceChildren(node('caption', 'empty', a.error));
    return;
  }
  table($('#newest'), [
    {title: 'time', className: 'n', value: r => stamp(r[0])},
    {title: 'stream', className: 'once', value: r => r[1]},
    {title: 'pod', className: 'once', value: r => r[2]},
    {title: 'message', className: 'text', value: r => r[3]},
  ], a.rows);
}

// --- the time range ---------------------------------------------------------

const custom = $('#range .custom');
let chosen = form.elements.range.value;

// onRange has a range that is chosen asked for at once: it calls then.
export function onRange(then) {
  const choose = query => {
    chosen = query;
    asking?.abort();
    then();
  };
  form.addEventListener('change', e => {
    if (e.target.name !== 'range') return;
    custom.hidden = e.target.value !== 'custom';
    if (custom.hidden) choose(e.target.value);
    else if (shown) {
      [form.elements.from.value, form.elements.to.value] = [shown.from.slice(0, 19).replace(' ', 'T'), shown.to.slice(0, 19).replace(' ', 'T')];
    }
  });
  form.addEventListener('input', () => {
    const {from, to} = form.elements;
    to.setCustomValidity(from.value && to.value && from.value >= to.value ? 'The end must be after the beginning.' : '');
  });
  form.addEventListener('submit', e => {
    e.preventDefault();
    choose(new URLSearchParams({from: form.elements.from.value, to: form.elements.to.value}).toString());
  });
}
