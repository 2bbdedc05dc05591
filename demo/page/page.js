// Asks the demo what is going on, and shows it.
import {onRange, showCharts, showNewest} from './dashboard.js';
import {showFlow, showState} from './live.js';

const offline = document.querySelector('#offline');
let heard = new Date();

// Silence is thrown where nobody answers at all, Refusal where the demo does
// not do what it was asked for.
class Silence extends Error {}
class Refusal extends Error {}

async function ask(path, signal) {
  let r;
  try {
    r = await fetch('/api/' + path, {signal});
  } catch (e) {
    throw signal?.aborted ? e : new Silence();
  }
  if (!r.ok) throw new Refusal((await r.text()).trim());
  return r.json();
}

function silent(yes) {
  if (!yes) heard = new Date();
  else if (offline.hidden) offline.textContent = `The demo does not answer. What is shown is from ${heard.toLocaleTimeString('en-GB', {timeZone: 'Asia/Seoul'})}.`;
  offline.hidden = !yes;
  document.body.classList.toggle('silent', yes);
}

// repeat runs a task for ever, with a pause after each run unless the task
// says a longer one, and not while nobody looks. What it returns cuts the
// pause short.
function repeat(task, pause) {
  let wake = () => {}, due = false;
  (async () => {
    for (;;) {
      let wait = pause;
      due = false;
      if (!document.hidden) {
        try {
          wait = Math.max(pause, await task(ask) || 0);
          silent(false);
        } catch (e) {
          if (e instanceof Silence) silent(true);
          else if (e instanceof Refusal) console.warn(e.message);
          else console.error(e);
        }
      }
      if (!due) await new Promise(done => { wake = done; setTimeout(done, wait); });
    }
  })();
  return () => { due = true; wake(); };
}

repeat(showFlow, 1000);
repeat(showState, 1500);
repeat(showNewest, 2500);
const again = repeat(showCharts, 1000);
onRange(again);
document.addEventListener('visibilitychange', again);
