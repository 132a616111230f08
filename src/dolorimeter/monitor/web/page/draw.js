// Drawing on canvases: nothing here knows of the server.

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

export function quality(value) {
  if (value >= 0.8) return "good";
  if (value >= 0.5) return "fair";
  return value > 0 ? "poor" : "unusable";
}

function prepare(canvas) {
  const ratio = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight || Number(canvas.getAttribute("height"));
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, width, height);
  pen.font = "12px system-ui, 'DejaVu Sans', sans-serif";
  pen.lineJoin = "round";
  return [pen, width, height];
}

function hatch(pen, x, y, width, height) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  pen.strokeStyle = style("--hatch");
  pen.lineWidth = 1.5;
  pen.beginPath();
  for (let i = x - height - ((x - height) % 8); i < x + width; i += 8) {
    pen.moveTo(i, y + height);
    pen.lineTo(i + height, y);
  }
  pen.stroke();
  pen.restore();
}

export function drawScale(canvas, levels, classes, estimate) {
  const [pen, width] = prepare(canvas);
  const left = 14, right = width - 14, y = 18;
  const at = (v) => left + (right - left) * Math.min(1, Math.max(0, (v - levels[0]) / (levels[1] - levels[0])));
  pen.strokeStyle = style("--quiet");
  pen.lineWidth = 2;
  pen.beginPath();
  pen.moveTo(left, y);
  pen.lineTo(right, y);
  pen.stroke();
  pen.fillStyle = style("--ink");
  const ticks = classes.length ? classes.map((name, i) => [i, name]) : levels.map((v) => [v, String(v)]);
  ticks.forEach(([value, name], i) => {
    pen.fillRect(at(value) - 1, y - 6, 2, 12);
    pen.textAlign = i === 0 ? "left" : i === ticks.length - 1 ? "right" : "center";
    pen.fillText(name, i === 0 ? left - 8 : i === ticks.length - 1 ? right + 8 : at(value), y + 26);
  });
  if (estimate.lower !== null) {
    pen.fillStyle = style("--estimate");
    pen.globalAlpha = 0.45;
    pen.fillRect(at(estimate.lower), y - 7, Math.max(2, at(estimate.upper) - at(estimate.lower)), 14);
    pen.globalAlpha = 1;
    for (const end of [estimate.lower, estimate.upper]) pen.fillRect(at(end) - 1, y - 9, 2, 18);
  }
  pen.fillStyle = style("--estimate");
  pen.beginPath();
  pen.arc(at(estimate.expected_level), y, 8, 0, 2 * Math.PI);
  pen.fill();
}

// What stands where on the time axis; everything in milliseconds.
export function drawTimeline(canvas, view) {
  const [pen, width, height] = prepare(canvas);
  const left = 34, right = width - 8, lane = 62, bottom = height - 20, split = bottom - lane;
  const x = (t) => right - (right - left) * ((view.now - t) / view.span);
  const [low, high] = view.levels;
  const top = 20;
  const y = (v) => split - 10 - (split - 10 - top) * ((v - low) / (high - low));
  axis(pen, view, x, left, right, bottom);
  pen.save();
  pen.beginPath();
  pen.rect(left, 0, right - left, height);
  pen.clip();
  if (!view.diary) estimates(pen, view, x, y, top, split);
  marks(pen, view, x, bottom);
  reports(pen, view, x, view.diary ? top : split + 6, bottom - 6);
  pen.restore();
  pen.fillStyle = style("--quiet");
  pen.textAlign = "right";
  pen.textBaseline = "middle";
  if (!view.diary) {
    for (const v of [low, high]) pen.fillText(String(Math.round(v * 100) / 100), left - 6, y(v));
    pen.strokeStyle = style("--line");
    pen.beginPath();
    pen.moveTo(left, split);
    pen.lineTo(right, split);
    pen.stroke();
  }
  pen.fillStyle = style("--told");
  pen.fillText("10", left - 6, view.diary ? top + 8 : split + 14);
  pen.fillText("0", left - 6, bottom - 14);
  pen.textBaseline = "alphabetic";
}

function axis(pen, view, x, left, right, bottom) {
  const steps = [10e3, 30e3, 60e3, 300e3, 600e3, 1800e3, 3600e3, 6 * 3600e3, 24 * 3600e3];
  const wanted = view.span / Math.max(2, (right - left) / 110);
  const step = steps.find((s) => s >= wanted) || steps[steps.length - 1] * Math.ceil(wanted / steps[steps.length - 1]);
  const zone = new Date(view.now).getTimezoneOffset() * 60e3;
  pen.strokeStyle = style("--hair");
  pen.fillStyle = style("--quiet");
  pen.lineWidth = 1;
  pen.textAlign = "center";
  const first = Math.ceil((view.now - view.span - zone) / step) * step + zone;
  for (let t = first; t <= view.now; t += step) {
    pen.beginPath();
    pen.moveTo(x(t), 6);
    pen.lineTo(x(t), bottom);
    pen.stroke();
    const when = new Date(t);
    const text = step >= 6 * 3600e3 ? when.toLocaleString([], { weekday: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" })
      : when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: step < 60e3 ? "2-digit" : undefined, hourCycle: "h23" });
    if (x(t) > left + 24 && x(t) < right - 24) pen.fillText(text, x(t), bottom + 15);
  }
}

function estimates(pen, view, x, y, top, split) {
  const shown = view.estimates.filter((e) => e.t >= view.now - view.span - 2e3);
  let run = [];
  const flush = () => {
    if (run.length && run[0].lower !== null) {
      pen.fillStyle = style("--band");
      pen.beginPath();
      run.forEach((e, i) => (i ? pen.lineTo(x(e.t), y(e.upper)) : pen.moveTo(x(e.t), y(e.upper))));
      [...run].reverse().forEach((e) => pen.lineTo(x(e.t), y(e.lower)));
      pen.closePath();
      pen.fill();
    }
    pen.strokeStyle = style("--estimate");
    pen.lineWidth = 2.5;
    pen.beginPath();
    run.forEach((e, i) => (i ? pen.lineTo(x(e.t), y(e.expected_level)) : pen.moveTo(x(e.t), y(e.expected_level))));
    if (run.length === 1) pen.arc(x(run[0].t), y(run[0].expected_level), 1.5, 0, 7);
    pen.stroke();
    run = [];
  };
  let gone = null;
  shown.forEach((e, i) => {
    const gap = i && e.t - shown[i - 1].t > view.gap;
    if (gap || e.abstained) flush();
    if (gone !== null && (gap || !e.abstained)) {
      hatch(pen, x(gone), top, Math.max(2, x(shown[i - 1].t + (gap ? 0 : e.t - shown[i - 1].t)) - x(gone)), split - 10 - top);
      gone = null;
    }
    if (e.abstained) gone = gone === null ? e.t : gone;
    else run.push(e);
  });
  flush();
  if (gone !== null) hatch(pen, x(gone), top, Math.max(2, x(shown[shown.length - 1].t) - x(gone)), split - 10 - top);
}

function marks(pen, view, x, bottom) {
  pen.setLineDash([5, 4]);
  pen.lineWidth = 2;
  let place = 0;
  for (const m of view.marks.filter((entry) => !entry.withdrawn)) {
    if (m.t < view.now - view.span) continue;
    pen.strokeStyle = pen.fillStyle = style("--mark");
    pen.beginPath();
    pen.moveTo(x(m.t), 16);
    pen.lineTo(x(m.t), bottom);
    pen.stroke();
    const text = m.label.length > 24 ? `${m.label.slice(0, 23)}…` : m.label;
    const wide = pen.measureText(text).width;
    pen.textAlign = x(m.t) + wide + 8 > pen.canvas.clientWidth ? "right" : "left";
    pen.fillText(text, x(m.t) + (pen.textAlign === "left" ? 4 : -4), 13 + 13 * (place++ % 2));
  }
  pen.setLineDash([]);
}

function reports(pen, view, x, top, bottom) {
  for (const r of view.reports.filter((entry) => !entry.withdrawn)) {
    if (r.t < view.now - view.span) continue;
    const y = bottom - 8 - (bottom - top - 16) * (r.value / 10);
    pen.fillStyle = style("--told");
    pen.save();
    pen.translate(x(r.t), y);
    if (r.scale === "nrs") pen.rotate(Math.PI / 4);
    pen.fillRect(-5, -5, 10, 10);
    pen.restore();
    pen.textAlign = x(r.t) > pen.canvas.clientWidth - 40 ? "right" : "left";
    pen.textBaseline = "middle";
    pen.fillText(String(r.value), x(r.t) + (pen.textAlign === "left" ? 10 : -10), y);
    pen.textBaseline = "alphabetic";
  }
}

const PREFIXES = [[1, ""], [1e-3, "m"], [1e-6, "µ"], [1e-9, "n"]];

export function drawSignal(canvas, tail, seconds, shift) {
  const [pen, width, height] = prepare(canvas);
  const known = tail.values.filter((v) => v !== null);
  const right = width - 6, left = 58;
  const x = (s) => right - (right - left) * ((shift - s) / seconds);
  let low = Math.min(...known), high = Math.max(...known);
  if (!known.length) [low, high] = [0, 1];
  if (high - low < 1e-12 * Math.max(1e-3, Math.abs(high))) [low, high] = [low - 1e-9 - Math.abs(low) * 0.05, high + 1e-9 + Math.abs(high) * 0.05];
  const y = (v) => height - 8 - (height - 16) * ((v - low) / (high - low));
  if (!tail.state.present) hatch(pen, left, 0, right - left, height);
  pen.save();
  pen.beginPath();
  pen.rect(left, 0, right - left, height);
  pen.clip();
  pen.strokeStyle = style("--ink");
  pen.lineWidth = 1.4;
  pen.beginPath();
  let down = false;
  tail.values.forEach((v, i) => {
    if (v === null) { down = false; return; }
    if (down) pen.lineTo(x(tail.seconds[i]), y(v)); else pen.moveTo(x(tail.seconds[i]), y(v));
    down = true;
  });
  pen.stroke();
  pen.restore();
  pen.fillStyle = style("--quiet");
  pen.textAlign = "right";
  const size = Math.max(Math.abs(low), Math.abs(high));
  const [factor, prefix] = tail.unit === "S" || tail.unit === "V" ? PREFIXES.find(([f]) => size >= 0.9995 * f) || PREFIXES[3] : PREFIXES[0];
  const digits = (v) => (v / factor).toPrecision(3);
  if (known.length) {
    pen.fillText(digits(high), left - 4, 12);
    pen.fillText(digits(low), left - 4, height - 4);
  }
  pen.fillText(tail.unit === "1" ? "" : prefix + tail.unit, left - 4, height / 2 + 4);
}

export function drawFace(canvas, face) {
  const [pen, width, height] = prepare(canvas);
  const wide = Math.min(width, height * face.aspect), tall = wide / face.aspect;
  const x0 = (width - wide) / 2, y0 = (height - tall) / 2;
  pen.strokeStyle = style("--line");
  pen.lineWidth = 1;
  pen.strokeRect(x0 + 0.5, y0 + 0.5, wide - 1, tall - 1);
  if (!face.box) {
    hatch(pen, x0, y0, wide, tall);
    return;
  }
  pen.fillStyle = style("--ink");
  for (const [px, py] of face.points) pen.fillRect(x0 + px * wide - 1, y0 + py * tall - 1, 2, 2);
  const [l, t, r, b] = face.box;
  pen.strokeStyle = style("--estimate");
  pen.lineWidth = 2;
  pen.strokeRect(x0 + l * wide, y0 + t * tall, (r - l) * wide, (b - t) * tall);
}

// Six faces, drawn here: brows come down, eyes close, the mouth turns and opens.
export function faceSvg(value) {
  const p = value / 10, ns = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(ns, "svg");
  svg.setAttribute("viewBox", "0 0 64 64");
  svg.setAttribute("aria-hidden", "true");
  const add = (kind, facts) => {
    const node = document.createElementNS(ns, kind);
    for (const [k, v] of Object.entries(facts)) node.setAttribute(k, v);
    svg.append(node);
  };
  const line = { fill: "none", stroke: "currentColor", "stroke-width": 2.6, "stroke-linecap": "round" };
  add("circle", { cx: 32, cy: 32, r: 29, ...line });
  for (const side of [-1, 1]) {
    const inner = 32 + side * 6, outer = 32 + side * 18;
    add("path", { d: `M${outer} ${18 + 1 * p}Q${32 + side * 12} ${14 + 6 * p} ${inner} ${17 + 8 * p}`, ...line });
    add("ellipse", { cx: 32 + side * 12, cy: 28, rx: 3, ry: 3.2 - 2.6 * p, fill: "currentColor" });
  }
  const bend = 44 + 8 * (1 - 2 * p), corner = 44 + 2 * (2 * p - 1);
  if (p < 0.8) add("path", { d: `M20 ${corner}Q32 ${bend} 44 ${corner}`, ...line });
  else add("path", { d: `M20 ${corner + 4}Q32 ${bend - 4} 44 ${corner + 4}Q32 ${corner + 4 * p} 20 ${corner + 4}Z`, ...line });
  return svg;
}
