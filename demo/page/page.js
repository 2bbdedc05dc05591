// Asks the demo what is going on, and shows it.
'use strict';

const $ = selector => document.querySelector(selector);
const set = (selector, text) => { $(selector).textContent = text; };

async function ask(path) {
  const r = await fetch('/api/' + path);
  if (!r.ok) throw new Error(path + ': ' + await r.text());
  return r.json();
}

// repeat runs a task for ever, with a pause after each run, and not while
// nobody looks.
async function repeat(task, pause) {
  for (;;) {
    if (!document.hidden) {
      try {
        await task();
        $('#offline').hidden = true;
      } catch (e) {
        console.error(e);
        $('#offline').hidden = false;
      }
    }
    await new Promise(done => setTimeout(done, pause));
  }
}

// --- the flow ---------------------------------------------------------------

const flow = new Plot($('#flow'), {height: 240, relative: true});
const steps = [
  {label: 'written', color: '--s1', fill: '33'},
  {label: 'read', color: '--s2'},
  {label: 'on Kafka', color: '--s3'},
  {label: 'loaded', color: '--s4'},
];
let samples = [];

async function showFlow() {
  const last = samples.at(-1);
  const more = await ask('flow' + (last ? '?since=' + encodeURIComponent(last.at) : ''));
  samples = samples.concat(more).slice(-300);
  if (!samples.length) return;
  const now = samples.at(-1), end = Date.parse(now.at);
  const pick = key => samples.map(s => s.rates[key]);
  flow.show([samples.map(s => Math.round((Date.parse(s.at) - end) / 1e3)), pick('written'), pick('read'), pick('kafka'), pick('loaded')], steps);
  for (const key of ['written', 'read', 'kafka', 'loaded']) set(`[data-rate=${key}]`, mean(key));
  set('[data-total=rows]', number(now.rows));
  set('[data-tile=lag]', now.kafka === null || now.committed === null ? '–' : number(now.kafka - now.committed));
  set('[data-tile=p50]', seconds(now.p50));
  set('[data-tile=p99]', seconds(now.p99));
}

// mean is over the last five samples, and unknown if the newest is.
function mean(key) {
  const rates = samples.slice(-5).map(s => s.rates[key]);
  if (rates.at(-1) === null || rates.at(-1) === undefined) return '–';
  const all = rates.filter(x => x !== null);
  return number(all.reduce((a, b) => a + b) / all.length);
}

const seconds = x => x === null || x === undefined ? '–' : number(x, 1) + ' s';

// --- states and the ledger --------------------------------------------------

function step(name, up, parts) {
  const e = $(`[data-step=${name}]`);
  e.classList.toggle('up', up === true);
  e.classList.toggle('down', up === false);
  e.querySelector('[data-detail]').replaceChildren(...parts.filter(Boolean).flatMap((p, i) => i ? [document.createElement('br'), p] : [p]));
}

// process describes one of the two processes.
function process(name, s) {
  const c = s.child;
  const uptime = Math.round((Date.now() - Date.parse(c.since)) / 1e3);
  let state = c.running ? `process ${c.pid}, up ${duration(uptime)}` : 'not running';
  if (c.lives > 1) state += `, start ${c.lives}`;
  const trouble = c.failed || (c.running && s.ready === false && s.reason);
  step(name, !c.running ? false : s.ready, [state,
    c.running && s.ready === null && 'does not answer yet',
    c.crashes > 0 && `ended ${c.crashes} times by itself`,
    trouble && node('em', '', trouble)]);
}

const duration = s => s < 120 ? s + ' s' : s < 7200 ? Math.round(s / 60) + ' min' : Math.round(s / 3600) + ' h';

const ledgerColumns = first => [
  {title: first, className: '', text: r => r.name},
  ...['read', 'delivered', 'filtered'].map(k => ({title: k, className: 'n', text: r => number(r[k])})),
  {title: 'dropped', className: 'n', text: r => Object.entries(r.dropped || {}).map(([why, n]) => why + ' ' + number(n)).join(', ') || '0'},
  {title: 'pending', className: 'n', text: r => number(r.pending)},
  {title: 'read again', className: 'n', text: r => number(r.reread)},
  {title: 'adds up', className: 'n', text: r => r.missing === 0 ? '✓' : 'off by ' + number(r.missing), look: r => r.missing === 0 ? 'n ok' : 'n'},
];

function ledger(name, first, s) {
  const host = $(`[data-ledger=${name}]`);
  if (!s.total) {
    host.replaceChildren(node('caption', 'empty', `unknown: the ${name} does not answer`));
    return;
  }
  table(host, ledgerColumns(first), [...s.accounts || [], {...s.total, className: 'sum'}]);
}

async function showState() {
  const s = await ask('state'), n = s.node, now = samples.at(-1);
  step('node', true, [
    `${number(n.selected)} lines of 4 selected containers`,
    `${number(n.other)} lines of others, not to be read`,
    `${number(n.rotations)} rotations, ${number(n.restarts)} container restarts`,
  ]);
  process('agent', s.agent);
  process('collector', s.collector);
  step('kafka', s.kafka, [s.kafka ? 'TLS, SCRAM-SHA-512, ACLs' : 'stopped',
    now && now.kafka !== null ? number(now.kafka) + ' records in 4 partitions' : 'records: unknown']);
  step('starrocks', s.starrocks, [s.starrocks ? 'stand-in, Stream Load and MySQL' : 'backend stopped',
    s.truncated > 0 && number(s.truncated) + ' rows emptied to save memory']);
  const known = now && now.kafka !== null && s.base.kafka !== null;
  set('[data-tile=unread]', known ? number(Math.max(0, now.due - (now.kafka - s.base.kafka))) : '–');
  ledger('agent', 'container', s.agent);
  ledger('collector', 'partition', s.collector);
}

document.querySelectorAll('[data-act]').forEach(b => b.addEventListener('click', async () => {
  const said = $('#said');
  b.disabled = true;
  said.className = '';
  said.textContent = b.dataset.act.replace('-', ': ') + ' …';
  try {
    const r = await fetch('/api/do/' + b.dataset.act, {method: 'POST'});
    if (!r.ok) throw new Error(await r.text());
    said.textContent = b.dataset.act.replace('-', ': ') + ' done';
  } catch (e) {
    said.className = 'bad';
    said.textContent = e.message;
  }
  b.disabled = false;
}));

// --- the dashboard ----------------------------------------------------------

const plots = Object.fromEntries(['response_time', 'requests', 'by_status', 'error_rate'].map(id => [id, new Plot($('#' + id), {height: 190, log: id === 'response_time'})]));
// kst reads a time without a zone; the plots show it as it is.
const kst = text => Date.parse(text.replace(' ', 'T') + 'Z') / 1e3;
const classColors = {2: ['#1d8a4c', '#35a866', '#6cc491', '#a3dcba'], 3: ['#5b8bd0', '#8fb2e4'], 4: ['#b9770e', '#dd9a2b', '#efb95f', '#f6d394'], 5: ['#a8262a', '#d04548', '#e77d7f', '#f2abac']};

// stack turns rows of [time, code, value] into areas upon each other, the
// largest codes at the bottom where errors are seen best.
function stack(rows) {
  const times = [...new Set(rows.map(r => kst(r[0])))].sort((a, b) => a - b);
  const codes = [...new Set(rows.map(r => r[1]))].sort((a, b) => b - a);
  const at = new Map(times.map((t, i) => [t, i]));
  const own = new Map(codes.map(c => [c, times.map(() => 0)]));
  rows.forEach(r => { own.get(r[1])[at.get(kst(r[0]))] = r[2]; });
  const sum = times.map(() => 0), used = {};
  const series = codes.map(c => {
    const shades = classColors[Math.floor(c / 100)] || ['#888'];
    const kind = Math.floor(c / 100), color = shades[(used[kind] = (used[kind] || 0) + 1) - 1] || shades.at(-1);
    const tops = own.get(c).map((y, i) => sum[i] += y);
    return {tops, label: String(c), color, fill: 'ff', width: 0, value: (u, y, s, i) => i === null ? '' : number(own.get(c)[i], 1)};
  });
  series.reverse(); // the highest area is drawn first
  return [[times, ...series.map(s => s.tops)], series.map(({tops, ...s}) => s)];
}

const drawn = {
  response_time: r => plots.response_time.show([r.map(x => kst(x[0])), r.map(x => x[1]), r.map(x => x[2])],
    [{label: 'average', color: '--s2', digits: 3}, {label: 'maximum', color: '--s3', digits: 3}]),
  requests: r => {
    set('#requests_sum', number(r.reduce((a, x) => a + x[1], 0)) + ' in all; a point is ten seconds');
    plots.requests.show([r.map(x => kst(x[0])), r.map(x => x[1])], [{label: 'requests', color: '--s2', fill: '33'}]);
  },
  by_status: r => plots.by_status.show(...stack(r)),
  error_rate: r => plots.error_rate.show([r.map(x => kst(x[0])), r.map(x => x[1])], [{label: 'error rate', color: '--bad', digits: 2, fill: '33'}]),
  projects: r => {
    const all = r.reduce((a, x) => a + x[1], 0);
    bars($('#projects'), r, x => number(100 * x[1] / all, 1) + ' %');
  },
  slowest: r => bars($('#slowest'), r, x => number(x[1], 3) + ' s'),
  errors: r => bars($('#errors'), r, x => number(x[1]) + ' of ' + number(x[2])),
  error_list: r => table($('#error_list'), [
    {title: 'time (KST)', className: '', text: x => x[0].replace('T', ' ')},
    {title: 'status', className: 'n', text: x => String(x[1])},
    {title: 'seconds', className: 'n', text: x => number(x[2], 3)},
    {title: 'message', className: 'text', text: x => x[3]},
  ], r),
};

async function showCharts() {
  const minutes = $('#minutes').value;
  const all = await ask('charts?minutes=' + minutes);
  let millis = 0;
  for (const [id, show] of Object.entries(drawn)) {
    const a = all[id];
    millis += a.millis;
    const trouble = a.error || (!a.rows.length && 'nothing yet');
    if (!trouble) show(a.rows);
    else if (plots[id]) plots[id].fail(trouble, a.error ? 'failed' : 'empty');
    else $('#' + id).replaceChildren(node(id === 'error_list' ? 'caption' : 'p', a.error ? 'failed' : 'empty', trouble));
  }
  set('#asked', `Eight questions took ${number(millis)} ms.`);
}

async function showNewest() {
  const a = await ask('newest');
  if (a.error) {
    $('#newest').replaceChildren(node('caption', 'failed', a.error));
    return;
  }
  table($('#newest'), [
    {title: 'time (KST)', className: '', text: x => x[0].replace('T', ' ')},
    {title: 'stream', className: '', text: x => x[1]},
    {title: 'pod', className: '', text: x => x[2]},
    {title: 'message', className: 'text', text: x => x[3]},
  ], a.rows);
}

$('#minutes').addEventListener('change', () => showCharts().catch(console.error));
repeat(showFlow, 1000);
repeat(showState, 1500);
repeat(showNewest, 2500);
repeat(showCharts, 5000);
