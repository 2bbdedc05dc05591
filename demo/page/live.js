// The live strip: what each step does, where lines wait, and the ledgers.
import {duration, number, unit} from './figures.js';
import {Plot} from './plot.js';
import {node, table} from './tables.js';

const $ = selector => document.querySelector(selector);
const set = (selector, text) => { $(selector).textContent = text; };

const steps = [
  {label: 'written', color: '--s1', fill: '33'},
  {label: 'read', color: '--s2'},
  {label: 'on Kafka', color: '--s3'},
  {label: 'loaded', color: '--s4'},
];
const keys = ['written', 'read', 'kafka', 'loaded'];
const flow = new Plot($('#flow .plot'), {height: 240, ago: true, unit: '/s'});
let samples = [];

export async function showFlow(ask) {
  const last = samples.at(-1);
  const more = await ask('flow' + (last ? '?since=' + encodeURIComponent(last.at) : ''));
  samples = samples.concat(more).slice(-300);
  if (!samples.length) return;
  const now = samples.at(-1), end = Date.parse(now.at);
  const rates = keys.map(k => samples.map(s => s.rates[k]));
  const means = keys.map(mean);
  flow.show([samples.map(s => Math.round((Date.parse(s.at) - end) / 1e3)), ...rates], steps,
    'Lines per second over the last five minutes; now ' + steps.map((s, i) => `${s.label} ${means[i]}`).join(', '));
  keys.forEach((k, i) => set(`[data-rate=${k}]`, means[i]));
  set('[data-total=rows]', number(now.rows));
  set('[data-tile=lag]', now.kafka === null || now.committed === null ? '–' : number(now.kafka - now.committed));
  set('[data-tile=p50]', unit(now.p50, 1, 's'));
  set('[data-tile=p99]', unit(now.p99, 1, 's'));
}

// mean is over the last five samples, and unknown if the newest is.
function mean(key) {
  const rates = samples.slice(-5).map(s => s.rates[key]);
  if (rates.at(-1) === null || rates.at(-1) === undefined) return '–';
  const known = rates.filter(x => x !== null);
  return number(known.reduce((a, b) => a + b) / known.length);
}

// --- states -----------------------------------------------------------------

// step shows a state by a word, a form and a colour, and details below it.
function step(name, state, parts) {
  const e = $(`[data-step=${name}]`), said = e.querySelector('.state');
  said.className = 'state ' + {up: 'good', 'not ready': 'wary', stopped: 'bad'}[state];
  said.textContent = state;
  e.querySelector('.detail').replaceChildren(...parts.filter(Boolean).map(p => node('span', '', p)));
}

// child describes one of the two processes.
function child(name, s) {
  const c = s.child, trouble = c.failed || (c.running && s.ready === false && s.reason);
  const age = Math.max(0, Math.round((Date.now() - Date.parse(c.since)) / 1e3));
  step(name, !c.running ? 'stopped' : s.ready ? 'up' : 'not ready', [
    c.running && `process ${c.pid}, up ${duration(age)}` + (c.lives > 1 ? `, start ${c.lives}` : ''),
    c.running && s.ready === null && 'does not answer yet',
    c.crashes > 0 && `ended ${c.crashes} times by itself`,
    trouble,
  ]);
}

// toggle has a button stop what is up, and start what is down.
function toggle(name, up) {
  const b = $(`[data-step=${name}] button`);
  b.dataset.act = name + (up ? '-down' : '-up');
  b.textContent = up ? 'Stop' : 'Start';
}

export async function showState(ask) {
  const s = await ask('state'), n = s.node, now = samples.at(-1);
  step('node', 'up', [
    `selected, 4 containers: ${number(n.selected)}`,
    `others, not to be read: ${number(n.other)}`,
    `${number(n.rotations)} rotations, ${number(n.restarts)} restarts`,
  ]);
  child('agent', s.agent);
  child('collector', s.collector);
  step('kafka', s.kafka ? 'up' : 'stopped', ['TLS, SCRAM-SHA-512, ACLs',
    (now && now.kafka !== null ? number(now.kafka) : 'unknown number of') + ' records in 4 partitions']);
  step('starrocks', s.starrocks ? 'up' : 'stopped', ['a stand-in for it',
    s.truncated > 0 && number(s.truncated) + ' rows emptied to save memory']);
  toggle('kafka', s.kafka);
  toggle('starrocks', s.starrocks);
  const known = now && now.kafka !== null && s.base.kafka !== null;
  set('[data-tile=unread]', known ? number(Math.max(0, now.due - (now.kafka - s.base.kafka))) : '–');
  for (const end of ['agent', 'collector']) {
    sum(end, s[end].total && ledgerSum(s[end].total));
    ledger(end, end === 'agent' ? 'container' : 'partition', s[end]);
  }
  sum('table', now && arrived(now, s.base));
}

// --- ledgers ----------------------------------------------------------------

const dropped = r => Object.values(r.dropped || {}).reduce((a, n) => a + n, 0);
const check = missing => missing === 0 ? ['good', 'adds up'] : ['wary', 'off by ' + number(missing)];

const ledgerSum = r => ({left: [r.read, 'read'], right: [[r.delivered, 'delivered'], [r.filtered, 'filtered'],
  [dropped(r), 'dropped'], [r.pending, 'pending']], verdict: check(r.missing)});

// arrived holds the rows against the lines that have to become one. A line
// that came twice would make it negative.
function arrived(now, base) {
  const rows = now.rows - base.rows, way = now.due - rows;
  return {left: [now.due, 'to arrive'], right: [[rows, 'rows'], [Math.max(way, 0), 'on the way']],
    verdict: way < 0 ? ['bad', number(-way) + ' rows too many'] : way > 0 ? ['good', 'none twice'] : ['good', 'all there']};
}

const sumNames = {agent: 'Agent', collector: 'Collector', table: 'Table'};

// sum writes left = right + right + ..., and whether that is so.
function sum(name, s) {
  const host = $(`[data-sum=${name}]`), title = node('strong', '', sumNames[name]);
  if (!s) {
    host.replaceChildren(title, node('span', 'empty', 'unknown: it does not answer'));
    return;
  }
  const term = ([n, what], sign) => {
    const e = node('span', 'term');
    if (sign) e.append(node('i', '', sign + ' '));
    e.append(node('b', '', number(n)), ' ' + what);
    return e;
  };
  host.replaceChildren(title, term(s.left), ...s.right.map((t, i) => term(t, i ? '+' : '=')), node('span', 'state ' + s.verdict[0], s.verdict[1]));
}

const ledgerColumns = first => [
  {title: first, className: '', value: r => r.name},
  ...['read', 'delivered', 'filtered'].map(k => ({title: k, className: 'n', value: r => number(r[k])})),
  {title: 'dropped', className: 'n', value: r => Object.entries(r.dropped || {}).map(([why, n]) => why + ' ' + number(n)).join(', ') || '0'},
  {title: 'pending', className: 'n', value: r => number(r.pending)},
  {title: 'read again', className: 'n', value: r => number(r.reread)},
  {title: 'sum', className: 'n', value: r => node('span', 'state ' + check(r.missing)[0], check(r.missing)[1])},
];

function ledger(name, first, s) {
  const host = $(`[data-ledger=${name}]`);
  if (s.total) table(host, ledgerColumns(first), [...s.accounts || [], {...s.total, className: 'sum'}]);
  else host.replaceChildren(node('caption', 'empty', `Unknown: the ${name} does not answer.`));
}

// --- buttons ----------------------------------------------------------------

const acts = {restart: 'Restarting', kill: 'Killing', down: 'Stopping', up: 'Starting'};

document.querySelectorAll('[data-act]').forEach(b => b.addEventListener('click', async () => {
  const said = $('#said'), [what, how] = b.dataset.act.split('-');
  const title = b.closest('.step').querySelector('h3').firstChild.textContent.trim();
  said.className = '';
  said.textContent = `${acts[how]} ${title} …`;
  try {
    const r = await fetch(`/api/do/${what}-${how}`, {method: 'POST'});
    if (!r.ok) throw new Error(await r.text());
    said.textContent = `${acts[how]} ${title}: done`;
  } catch (e) {
    said.className = 'bad';
    said.textContent = `${acts[how]} ${title}: ${e.message}`;
  }
}));
