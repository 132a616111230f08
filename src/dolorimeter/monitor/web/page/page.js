// The page: what the server says goes on the screen, what a person enters goes to the server.

import { drawFace, drawScale, drawSignal, drawTimeline, faceSvg, quality } from "/draw.js";

const $ = (id) => document.getElementById(id);
const STALE_MS = 2500;
const state = {
  about: null, session: null, socket: null, retry: 0, heard: 0, heardEstimate: 0,
  estimates: [], marks: [], reports: [], signals: [], face: null, frames: false, signalsAt: 0, live: {}, spoken: "",
};

const clock = (moment) => new Date(moment).toLocaleTimeString([], { hourCycle: "h23" });
const day = (moment) => new Date(moment).toLocaleString([], { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

// Whether estimates are coming: from this process, or from another one that writes the store.
function running() {
  return Boolean(state.live.running) || (state.session.state === "running" && state.live.here === false);
}

function text(id, value) {
  const node = $(id);
  if (node.textContent !== value) node.textContent = value;
}

function listed(words) {
  const item = document.createElement("li");
  item.textContent = words;
  return item;
}

function show(id, visible) {
  $(id).hidden = !visible;
}

async function ask(path, body) {
  const options = body === undefined ? {} : { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Error("the monitor does not answer");
  }
  if (answer.status === 204) return null;
  const told = await answer.json().catch(() => ({}));
  if (answer.status === 401) show("login", true);
  if (!answer.ok) throw Object.assign(new Error(told.detail || `refused (${answer.status})`), { status: answer.status });
  return told;
}

// start

async function begin() {
  state.about = await ask("/api/about");
  const key = /^#token=(.+)$/.exec(location.hash);
  if (key) {
    history.replaceState(null, "", "/");
    await login(decodeURIComponent(key[1]));
  }
  show("starter", true);
  if (!state.about.can_start) {
    $("kind").querySelector("[value=stream]").remove();
    show("diary-fields", true);
  }
  for (const form of state.about.formats) {
    const link = document.createElement("a");
    link.textContent = form;
    link.dataset.form = form;
    $("exports").append(link);
  }
  await refreshSessions(true);
}

async function login(token) {
  try {
    await ask("/api/login", { token });
    show("login", false);
    text("login-refused", "");
  } catch (error) {
    show("login", true);
    text("login-refused", error.message);
  }
}

async function refreshSessions(choose) {
  let found;
  try {
    found = await ask("/api/sessions");
  } catch (error) {
    if (error.status !== 401) trouble(error.message);
    return;
  }
  show("login", false);
  show("main", true);
  const list = $("sessions");
  list.replaceChildren(...found.map((s) => new Option(
    `${s.subject} · ${day(s.started)} · ${s.kind === "diary" ? "diary, " : ""}${s.state}`, s.id)));
  const wanted = choose ? (location.hash.match(/^#s=([\w-]+)$/) || [])[1] : state.session && state.session.id;
  const chosen = found.find((s) => s.id === wanted) || found.find((s) => s.state === "running") || found[0];
  if (!chosen) {
    text("about-session", "No session is stored yet.");
    $("starter").open = true;
    return;
  }
  list.value = chosen.id;
  if (!state.session || state.session.id !== chosen.id) openSession(chosen);
  else describe(chosen);
}

function openSession(session) {
  Object.assign(state, { estimates: [], marks: [], reports: [], signals: [], face: null, heardEstimate: 0, live: {} });
  history.replaceState(null, "", `#s=${session.id}`);
  $("signals").replaceChildren();
  show("face-card", false);
  askFrames(false);
  describe(session);
  const diary = session.kind === "diary";
  document.body.classList.toggle("diary", diary);
  const spans = diary ? [["1 day", 864e5], ["7 days", 7 * 864e5], ["30 days", 30 * 864e5]] : [["1 min", 6e4], ["2 min", 12e4], ["10 min", 6e5]];
  $("span").replaceChildren(...spans.map(([name, ms]) => new Option(name, ms)));
  $("span").value = diary ? 7 * 864e5 : 12e4;
  showEstimate();
  showEntries();
  connect();
}

function describe(session) {
  state.session = session;
  document.title = `${session.due_since ? "(!) " : ""}${session.subject} · dolorimeter monitor`;
  show("lookalike", session.lookalike);
  text("state", session.state);
  $("state").classList.toggle("bad", session.state === "interrupted");
  show("stop", session.here);
  const parts = [session.model && `Model: ${session.model}${session.model_digest && ` (${session.model_digest.slice(0, 8)})`}`, session.sources.join(", "),
    session.ended_because && `Ended: ${session.ended_because}`, session.reminders.length && `Asks at ${session.reminders.join(", ")} (${session.timezone})`];
  text("about-session", parts.filter(Boolean).join(" · "));
  show("notes", session.notes.length > 0);
  $("note-list").replaceChildren(...session.notes.map(listed));
  for (const link of $("exports").children) link.href = `/api/sessions/${session.id}/export?format=${link.dataset.form}`;
  show("due", Boolean(session.due_since));
  if (session.due_since) {
    text("due", `A self-report has been due since ${clock(session.due_since).slice(0, 5)}.`);
    if (window.Notification && Notification.permission === "granted" && state.spoken !== session.due_since) new Notification("A self-report is due");
    state.spoken = session.due_since;
  }
}

function trouble(why) {
  show("trouble", Boolean(why));
  text("trouble", why ? `Not stored, not sent or not answered: ${why}` : "");
}

// live

function connect() {
  if (state.socket) {
    state.socket.onclose = null;
    state.socket.close();
  }
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  const socket = new WebSocket(`${scheme}://${location.host}/api/sessions/${state.session.id}/live`);
  state.socket = socket;
  socket.onopen = () => {
    state.retry = 0;
    choose(socket);
  };
  socket.onmessage = (event) => {
    state.heard = performance.now();
    receive(JSON.parse(event.data));
  };
  socket.onclose = () => {
    if (state.socket !== socket) return;
    state.retry = Math.min(8000, state.retry * 2 || 500);
    setTimeout(() => { if (state.socket === socket) connect(); }, state.retry);
  };
}

function choose(socket) {
  if (socket && socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify({ kind: "show", seconds: 10, points: 500, frames: state.frames }));
}

// The camera's picture: only while it is asked for, only in this browser, gone with a reload.
function askFrames(wanted) {
  state.frames = wanted;
  choose(state.socket);
  $("ask-frame").setAttribute("aria-pressed", String(wanted));
  text("ask-frame", wanted ? "Hide the picture" : "Show the camera's picture");
  showFrame(null);
}

function showFrame(jpeg) {
  const shown = state.frames && Boolean(jpeg);
  if (shown) $("frame").src = `data:image/jpeg;base64,${jpeg}`;
  else $("frame").removeAttribute("src");
  show("frame", shown);
  text("frame-told", state.frames ? (shown ? "Shown here only, stored nowhere." : "The camera gives no picture.") : "");
}

const timed = (entries) => entries.map((e) => ({ ...e, t: Date.parse(e.time) }));

function receive(message) {
  if (message.kind === "estimates") {
    if (message.first) state.estimates = [];
    state.estimates.push(...timed(message.estimates));
    if (state.estimates.length > 1500) state.estimates.splice(0, state.estimates.length - 1300);
    if (message.estimates.length) state.heardEstimate = performance.now();
    showEstimate();
  } else if (message.kind === "entries") {
    state.marks = timed(message.marks);
    state.reports = timed(message.reports);
    showEntries();
  } else if (message.kind === "signals") {
    state.signals = message.signals;
    state.face = message.face;
    state.signalsAt = performance.now();
    showSignals();
  } else if (message.kind === "frame") showFrame(message.jpeg);
  else if (message.kind === "state") {
    const before = state.live;
    state.live = message;
    trouble(message.trouble || (message.stopped_because && `the session stopped: ${message.stopped_because}`));
    if (before.running !== undefined && before.running !== message.running) refreshSessions(false);
  } else if (message.kind === "trouble") trouble(message.detail);
}

function serverNow() {
  const last = state.estimates[state.estimates.length - 1];
  if (state.session.kind === "diary") return Date.now();
  if (!last) return Date.now();
  return running() ? last.t + performance.now() - state.heardEstimate : last.t;
}

// the estimate

const number = (v) => (Math.round(v * 100) / 100).toFixed(2);
const seconds = (v) => (v === null || v === undefined ? "–" : v < 10 ? `${v.toFixed(1)} s` : `${Math.round(v)} s`);

function showEstimate() {
  const e = state.estimates[state.estimates.length - 1];
  const given = Boolean(e) && !e.abstained;
  show("given", given);
  show("abstains", !given);
  text("why", e ? e.abstained : "waiting for the first one");
  show("alarm", Boolean(e && e.alert));
  text("alarm", e && e.alert ? "Alert: the estimate stands above its threshold. Look at the person." : "");
  if (!e) return;
  const used = e.modalities.filter((m) => m.present);
  const ages = used.map((m) => m.age_s).filter((a) => a !== null);
  state.age = ages.length ? Math.max(...ages) : null;
  text("latency", e.latency_s === null ? "–" : `${Math.round(e.latency_s * 1000)} ms`);
  const worst = used.length ? Math.min(...used.map((m) => m.quality)) : 0;
  text("quality", `${quality(worst)} (${worst.toFixed(2)})`);
  $("quality").classList.toggle("bad", worst < 0.5);
  if (given) {
    text("level", number(e.expected_level));
    text("interval", e.lower === null ? "without an interval" : `${number(e.lower)} to ${number(e.upper)}`);
    drawScale($("scale"), state.session.levels, state.session.classes, e);
  }
  bars("probabilities", Object.entries(e.probabilities));
  text("promise", promise(e));
  $("remarks").replaceChildren(...[...e.remarks, ...e.modalities.filter((m) => !m.present).map((m) => `Goes on without ${m.name}: ${m.reasons.join(", ") || "not there"}.`)].map(listed));
  const said = e.abstained ? `No estimate: ${e.abstained}` : e.alert ? "Alert" : "Estimates are given.";
  if (said !== state.said) text("spoken", said);
  state.said = said;
}

function promise(e) {
  if (e.coverage === null || e.lower === null) return "";
  const share = `${Math.round(e.coverage * 100)} % interval`;
  if (e.coverage_kind === "conformal") return `${share}, conformal: its promise holds for people like those the model was trained on.`;
  if (e.coverage_kind === "calibrated") return `${share} from calibrated probabilities: no promise for any one person.`;
  return `${share} without calibration: no promise.`;
}

function bars(id, entries) {
  const box = $(id);
  if (box.dataset.names !== entries.map(([n]) => n).join("|")) {
    box.dataset.names = entries.map(([n]) => n).join("|");
    box.replaceChildren(...entries.flatMap(([name]) => {
      const label = document.createElement("span"), meter = document.createElement("meter"), out = document.createElement("output");
      label.textContent = name;
      meter.max = 1;
      return [label, meter, out];
    }));
  }
  entries.forEach(([, value], i) => {
    box.children[3 * i + 1].value = value;
    box.children[3 * i + 2].textContent = value.toFixed(2);
  });
}

// signals and face

function row(name) {
  let node = document.querySelector(`[data-signal="${CSS.escape(name)}"]`);
  if (!node) {
    node = document.createElement("div");
    node.className = "signal";
    node.dataset.signal = name;
    const head = document.createElement("h3"), canvas = document.createElement("canvas");
    head.append(document.createElement("b"), document.createElement("span"), document.createElement("b"));
    canvas.setAttribute("height", "84");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${name} of the last 10 seconds`);
    node.append(head, canvas);
    $("signals").append(node);
  }
  return node;
}

function showSignals() {
  for (const tail of state.signals) {
    const [title, facts, bad] = row(tail.name).querySelectorAll("h3 > *");
    const s = tail.state;
    title.textContent = tail.name;
    facts.textContent = `quality ${quality(s.quality)} (${s.quality.toFixed(2)}) · newest sample ${s.age_s === null ? "never came" : `${seconds(s.age_s)} old`}`;
    const why = s.reasons.join(", ");
    bad.textContent = s.present ? why : `not used${why ? `: ${why}` : ""}`;
    bad.className = s.present ? "" : "bad";
  }
  show("face-card", Boolean(state.face));
  if (!state.face) return;
  const f = state.face.state;
  text("face-state", f.present ? `quality ${quality(f.quality)} (${f.quality.toFixed(2)}) · ${seconds(f.age_s)} old` : `not used: ${f.reasons.join(", ") || "no face"}`);
  drawFace($("face"), state.face);
  bars("cues", Object.entries(state.face.cues));
}

function tick() {
  requestAnimationFrame(tick);
  const at = performance.now();
  if (!state.session || at - (state.drawn || 0) < 60) return;
  state.drawn = at;
  const open = state.socket && state.socket.readyState === WebSocket.OPEN;
  const diary = state.session.kind === "diary", on = running();
  const lost = !open || (!diary && Boolean(state.live.here) && on && at - state.heard > STALE_MS);
  text("connection", lost ? `connection lost for ${seconds((at - state.heard) / 1000)}` : on && !diary ? "live" : "not live");
  $("connection").classList.toggle("bad", lost);
  const silence = (at - state.heardEstimate) / 1000;
  const stale = state.heardEstimate > 0 && (!on || silence * 1000 > STALE_MS);
  $("estimate").classList.toggle("stale", stale);
  const last = state.estimates[state.estimates.length - 1];
  text("h-estimate", last && !on ? `Estimated level: the last one, at ${clock(last.t)}` : "Estimated level");
  const age = state.age === null || state.age === undefined ? null : state.age + (on ? silence : 0);
  text("age", on && stale ? `${seconds(age)}: no estimate came for ${seconds(silence)}` : seconds(state.age));
  $("age").classList.toggle("bad", (on && stale) || (age !== null && age > 2));
  if (document.hidden) return;
  drawTimeline($("timeline"), {
    now: serverNow(), span: Number($("span").value), levels: state.session.levels, diary: state.session.kind === "diary",
    estimates: state.estimates, marks: state.marks, reports: state.reports, gap: 3000,
  });
  const shift = Math.min(1, (at - state.signalsAt) / 1000);
  for (const tail of state.signals) drawSignal(row(tail.name).querySelector("canvas"), tail, 10, on ? shift : 0);
}

// entries

function showEntries() {
  const all = [...state.marks.map((m) => ({ ...m, said: m.label })), ...state.reports.map((r) => ({ ...r, said: `${r.scale === "nrs" ? "says" : "points at face"} ${r.value} of 10 (entered by ${r.entered_by})` }))];
  all.sort((a, b) => b.t - a.t);
  $("entries").replaceChildren(...all.slice(0, 100).map((entry) => {
    const item = document.createElement("li"), when = document.createElement("time"), what = document.createElement("span");
    when.textContent = state.session.kind === "diary" ? day(entry.t) : clock(entry.t);
    what.textContent = entry.said;
    item.append(when, what);
    if (entry.withdrawn) item.className = "withdrawn";
    else item.append(button("Withdraw", () => withdraw(entry.id)));
    return item;
  }));
  $("labels").replaceChildren(...[...new Set(state.marks.map((m) => m.label))].map((label) => new Option(label)));
}

function button(label, action) {
  const node = document.createElement("button");
  node.type = "button";
  node.textContent = label;
  node.addEventListener("click", action);
  return node;
}

function entered(message, ...buttons) {
  const line = $("entered");
  line.classList.toggle("refused", buttons.length === 1 && buttons[0].textContent === "Again");
  line.replaceChildren(document.createTextNode(message), ...buttons);
}

async function report(scale, value) {
  const session = state.session.id, tapped = performance.now();
  const who = document.querySelector("[name=who]:checked").value;
  const send = async () => {
    entered("storing …");
    try {
      const stored = await ask(`/api/sessions/${session}/reports`, { scale, value, entered_by: who, seconds_ago: (performance.now() - tapped) / 1000 });
      entered(`Stored: ${value} of 10 at ${clock(stored.time)}.`, button("Undo", () => withdraw(stored.id)));
      if (state.session.kind === "diary") refreshSessions(false);
    } catch (error) {
      entered(`NOT stored: ${error.message}`, button("Again", send));
    }
  };
  await send();
}

async function withdraw(entry) {
  try {
    await ask(`/api/sessions/${state.session.id}/entries/${entry}/withdraw`, {});
    entered("Withdrawn: it is kept, and marked as entered by mistake.");
  } catch (error) {
    entered(`NOT withdrawn: ${error.message}`, button("Again", () => withdraw(entry)));
  }
}

function build() {
  for (let v = 0; v <= 10; v++) {
    const node = button(String(v), () => report("nrs", v));
    node.setAttribute("aria-label", `${v} of 10`);
    $("nrs").append(node);
  }
  for (const v of [0, 2, 4, 6, 8, 10]) {
    const node = button(String(v), () => report("faces", v));
    node.setAttribute("aria-label", `face ${v} of 10`);
    node.prepend(faceSvg(v));
    $("faces").append(node);
  }
  for (const group of [$("nrs"), $("faces")]) group.addEventListener("keydown", (event) => {
    const nodes = [...group.children], at = nodes.indexOf(document.activeElement);
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (at < 0 || !step) return;
    event.preventDefault();
    nodes[Math.min(nodes.length - 1, Math.max(0, at + step))].focus();
  });
  $("mark").addEventListener("submit", async (event) => {
    event.preventDefault();
    const label = $("label").value;
    try {
      await ask(`/api/sessions/${state.session.id}/marks`, { label });
      $("label").value = "";
      entered(`Mark stored: ${label}`);
    } catch (error) {
      entered(`Mark NOT stored: ${error.message}`);
    }
  });
  $("login").addEventListener("submit", async (event) => {
    event.preventDefault();
    await login($("token").value);
    await refreshSessions(true);
  });
  $("start").addEventListener("submit", start);
  $("stop").addEventListener("click", stop);
  $("kind").addEventListener("change", () => show("diary-fields", $("kind").value === "diary"));
  $("sessions").addEventListener("change", async () => openSession(await ask(`/api/sessions/${$("sessions").value}`)));
  $("ask-frame").addEventListener("click", () => askFrames(!state.frames));
  $("theme").addEventListener("click", () => theme(true));
  document.addEventListener("keydown", shortcut);
  setInterval(() => { if (state.session) refreshSessions(false); }, 15000);
}

async function start(event) {
  event.preventDefault();
  const diary = $("kind").value === "diary";
  const body = { subject: $("subject").value, kind: $("kind").value };
  if (diary) {
    body.reminders = $("reminders").value.split(/[\s,;]+/).filter(Boolean);
    body.timezone = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
    if (body.reminders.length && window.Notification && Notification.permission === "default") Notification.requestPermission();
  }
  try {
    const session = await ask("/api/sessions", body);
    text("start-refused", "");
    $("starter").open = false;
    location.hash = `s=${session.id}`;
    state.session = null;
    await refreshSessions(true);
  } catch (error) {
    text("start-refused", `Not started: ${error.message}`);
  }
}

async function stop() {
  const node = $("stop");
  if (!node.dataset.sure) {
    node.dataset.sure = "1";
    node.textContent = "Really stop?";
    setTimeout(() => { delete node.dataset.sure; node.textContent = "Stop"; }, 4000);
    return;
  }
  try {
    describe(await ask(`/api/sessions/${state.session.id}/stop`, {}));
  } catch (error) {
    trouble(error.message);
  }
  refreshSessions(false);
}

function shortcut(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName)) return;
  if (event.key === "n") theme(true);
  else if (event.key === "m" || event.key === "r") {
    event.preventDefault();
    (event.key === "m" ? $("label") : $("nrs").firstElementChild).focus();
  }
}

const THEMES = { auto: "as the device", day: "day", night: "dark ward" };

function theme(next) {
  let name = localStorage.getItem("theme") || "auto";
  if (!(name in THEMES)) name = "auto";
  if (next) {
    const names = Object.keys(THEMES);
    name = names[(names.indexOf(name) + 1) % names.length];
    localStorage.setItem("theme", name);
  }
  document.documentElement.dataset.theme = name;
  $("theme").textContent = `Light: ${THEMES[name]}`;
}

theme(false);
build();
tick();
begin().catch((error) => trouble(error.message));
