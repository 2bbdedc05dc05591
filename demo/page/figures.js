// How figures and times are written. What is not known is a dash.

// number writes thousands with a narrow space, which does not break.
export function number(x, digits = 0) {
  if (x === null || x === undefined || Number.isNaN(x)) return '–';
  return x.toLocaleString('en', {minimumFractionDigits: digits, maximumFractionDigits: digits}).replaceAll(',', '\u202f');
}

// unit writes a number with its unit, if there is one.
export const unit = (x, digits, name) => x === null || x === undefined ? '–' : number(x, digits) + '\u00a0' + name;

// brief writes what stands beside an axis, as short as can be.
export function brief(x) {
  if (x >= 1e6) return +(x / 1e6).toFixed(1) + 'M';
  if (x >= 1e4) return +(x / 1e3).toFixed(1) + 'k';
  return String(+x.toPrecision(4));
}

export function duration(s) {
  if (s < 1) return Math.round(s * 1e3) + ' ms';
  if (s < 120) return +s.toFixed(1) + ' s';
  return s < 7200 ? Math.round(s / 60) + ' min' : Math.round(s / 3600) + ' h';
}

// seconds reads a time without a zone; clock and stamp write it as it was.
export const seconds = text => Date.parse(text.replace(' ', 'T') + 'Z') / 1e3;
export const clock = t => new Date(t * 1e3).toISOString().slice(11, 19);
export const stamp = text => text.replace('T', ' ');

// short is the time of day of a tick: seconds only where ticks have some.
export const short = (t, step) => step < 60 ? clock(t) : step < 86400 ? clock(t).slice(0, 5) : new Date(t * 1e3).toISOString().slice(5, 10);
