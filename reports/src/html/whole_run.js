// The whole run on a canvas. From afar: completed operations per second, stacked by outcome. From near (fewer than
// LANES_BELOW operations in view): one lane per process, one bar per operation. Faults run along the bottom.
"use strict";

// A picture that is wider than its frame begins where the operation that cannot be linearized can be seen.
for (const frame of document.querySelectorAll(".scroll")) {
  const witness = frame.querySelector(".witness rect");
  if (!witness) continue;
  const beyond = witness.getBoundingClientRect().right - frame.getBoundingClientRect().right;
  if (beyond > 0) frame.scrollLeft = beyond + 24;
}

(async () => {
  const source = document.getElementById("run-data");
  const canvas = document.getElementById("run-canvas");
  if (!source || !canvas) return;

  const LANES_BELOW = 4000;
  const AXIS = 20, STRIP = 15, STRIP_ROWS = 5; // pixels, pixels, rows
  const KINDS = ["ok", "fail", "info"];
  const run = JSON.parse(source.textContent);
  const [numbers, words_bytes] = await Promise.all([run.columns.packed, run.columns.words].map(inflated));
  const ops = unpack(run.columns, numbers);
  const described_ops = new TextDecoder().decode(words_bytes).split("\n");
  const end = Math.max(run.end, 1);
  const VIEW_MIN = run.events ? 4 : 50; // events, or µs
  // A time in words: `12.47 s`, or `event 34` where the history has only the order of its events.
  const instant = (t, digits) => run.events ? "event " + Math.round(t) : (t / 1e6).toFixed(digits) + " s";
  const strips = rowsOf(run.faults);
  const show = { ok: true, fail: true, info: true, faults: true };
  const view = { from: 0, to: end };
  let chosen = -1; // position among the operations of this page
  let cursor = null; // a time
  let bars = []; // what can be clicked: {x, y, w, h, at}

  // --- data --------------------------------------------------------------------------------------------------------

  // Base64 of gzip.
  async function inflated(text) {
    const packed = Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  }

  // Column by column: each number in groups of seven bits, the lowest first.
  function unpack(columns, bytes) {
    const n = columns.n;
    const out = {
      n, call: new Float64Array(n), end: new Float64Array(n), process: new Float64Array(n),
      name: new Uint8Array(n), kind: new Uint8Array(n), line: new Float64Array(n), lastLine: new Float64Array(n),
      longest: 0, names: columns.names,
    };
    let at = 0;
    const column = (take) => {
      for (let i = 0; i < n; i++) {
        let value = 0, scale = 1, byte;
        do {
          byte = bytes[at++];
          value += (byte & 0x7f) * scale;
          scale *= 128;
        } while (byte & 0x80);
        take(i, value);
      }
    };
    let call = 0, line = 0;
    column((i, since) => { call += since; out.call[i] = call; });
    column((i, took) => {
      out.end[i] = took === 0 ? -1 : out.call[i] + took - 1;
      if (took > 0) out.longest = Math.max(out.longest, took - 1);
    });
    column((i, process) => { out.process[i] = process; });
    column((i, outcome) => {
      out.name[i] = Math.min(outcome >> 2, columns.names.length - 1);
      out.kind[i] = outcome & 3;
    });
    column((i, since) => { line += since; out.line[i] = line; });
    column((i, lines) => { out.lastLine[i] = lines === 0 ? -1 : out.line[i] + lines; });
    return out;
  }

  // The first operation invoked at or after t: they are in the order of their invocations.
  function firstFrom(t) {
    let low = 0, high = ops.n;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ops.call[middle] < t) low = middle + 1; else high = middle;
    }
    return low;
  }

  function words(at) {
    const described = described_ops[run.columns.first + at - run.columns.words_first];
    return described || ops.names[ops.name[at]];
  }

  function rowsOf(faults) {
    const free = [];
    return faults.map((fault) => {
      let row = free.findIndex((until) => until <= fault.from);
      if (row < 0) row = Math.min(free.length, STRIP_ROWS - 1);
      free[row] = Math.max(free[row] || 0, fault.to === null ? Infinity : fault.to);
      return { ...fault, row };
    });
  }

  // --- drawing -----------------------------------------------------------------------------------------------------

  let waiting = false;
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; draw(); });
  }

  function draw() {
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue("--" + name).trim();
    const scale = window.devicePixelRatio || 1;
    const width = canvas.clientWidth, height = canvas.clientHeight;
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    const g = canvas.getContext("2d");
    g.setTransform(scale, 0, 0, scale, 0, 0);
    g.fillStyle = ink("paper");
    g.fillRect(0, 0, width, height);
    g.font = "11px system-ui, sans-serif";
    g.textBaseline = "middle";

    const x = (t) => (t - view.from) / (view.to - view.from) * width;
    const rows = show.faults ? Math.max(0, ...strips.map((strip) => strip.row + 1)) : 0;
    const bottom = height - AXIS - rows * STRIP;
    const from = firstFrom(view.from - ops.longest), to = firstFrom(view.to);
    bars = [];
    const lanes = to - from < LANES_BELOW;
    drawBands(g, ink, x, bottom, width);
    const said = lanes ? drawLanes(g, ink, x, bottom, from, to) : drawRates(g, ink, x, bottom, width);
    drawStrips(g, ink, x, bottom, width);
    drawAxis(g, ink, x, height, width);
    if (run.violation) {
      g.fillStyle = ink("witness");
      const left = x(run.violation.from);
      g.fillRect(left - 1, 0, Math.max(2, lanes ? 0 : x(run.violation.to) - left), bottom);
      if (!lanes) g.fillText("✗", left + 4, 26);
    }
    g.fillStyle = ink("muted");
    g.fillText(said, 6, 9);
    place(cursor);
    Object.assign(canvas.dataset, { from: view.from, to: view.to, mode: lanes ? "lanes" : "rates", bars: bars.length });
  }

  function drawRates(g, ink, x, bottom, width) {
    const buckets = Math.max(1, Math.floor(width / 4));
    const span = (view.to - view.from) / buckets;
    const counts = KINDS.map(() => new Uint32Array(buckets));
    for (let i = firstFrom(view.from - ops.longest); i < ops.n && ops.call[i] < view.to; i++) {
      const at = Math.floor((ops.end[i] - view.from) / span);
      if (ops.end[i] >= 0 && at >= 0 && at < buckets) counts[ops.kind[i]][at]++;
    }
    let peak = 1;
    for (let at = 0; at < buckets; at++) {
      peak = Math.max(peak, KINDS.reduce((sum, kind, k) => sum + (show[kind] ? counts[k][at] : 0), 0));
    }
    for (let at = 0; at < buckets; at++) {
      let y = bottom;
      for (const k of [2, 1, 0]) {
        if (!show[KINDS[k]] || counts[k][at] === 0) continue;
        const tall = counts[k][at] / peak * (bottom - 20);
        g.fillStyle = ink(KINDS[k]);
        g.fillRect(at * width / buckets, y - tall, Math.ceil(width / buckets) - 1, tall);
        y -= tall;
      }
    }
    const most = run.events ? peak + " in " + Math.round(span) + " events" : Math.round(peak / span * 1e6).toLocaleString("en") + " per second";
    return "completed operations, at most " + most + (width < 450 ? "" : "; zoom in for lanes");
  }

  function drawLanes(g, ink, x, bottom, from, to) {
    const visible = [];
    for (let i = from; i < to; i++) {
      const stop = ops.end[i] < 0 || ops.kind[i] === 2 ? Math.max(ops.end[i], ops.call[i]) : ops.end[i];
      if (stop >= view.from && show[KINDS[ops.kind[i]]]) visible.push(i);
    }
    const lanes = [...new Set(visible.map((i) => ops.process[i]))].sort((a, b) => a - b);
    const lane = new Map(lanes.map((process, at) => [process, at]));
    const tall = Math.min(26, (bottom - 18) / Math.max(1, lanes.length));
    const bar = Math.max(1, tall - (tall > 6 ? 3 : 0));
    for (const i of visible) {
      const y = 18 + lane.get(ops.process[i]) * tall;
      const left = Math.max(-4, x(ops.call[i]));
      const stop = ops.end[i] < 0 ? view.to : ops.end[i];
      const wide = Math.max(1.5, Math.min(x(stop), canvas.clientWidth + 4) - left);
      const witness = run.violation && run.columns.first + i === run.violation.op;
      g.fillStyle = ink(KINDS[ops.kind[i]]);
      if (witness) {
        g.fillStyle = ink("paper");
        g.strokeStyle = ink("witness");
        g.lineWidth = 2.5;
      }
      g.fillRect(left, y, wide, bar);
      if (witness) g.strokeRect(left, y, wide, bar);
      if (i === chosen && !witness) { g.strokeStyle = ink("text"); g.lineWidth = 2; g.strokeRect(left, y, wide, bar); }
      if (bar >= 9 && wide > 40) {
        g.fillStyle = witness ? ink("witness") : ops.kind[i] === 0 ? ink("paper") : "#1B1F24";
        g.save();
        g.beginPath(); g.rect(left, y, wide - 2, bar); g.clip();
        g.fillText(words(i) + (witness ? " ✗" : ""), left < 40 ? 44 : left + 4, y + bar / 2); // clear of the name
        g.restore();
      }
      bars.push({ x: left, y, w: wide, h: bar, at: i });
    }
    if (tall >= 10) {
      g.fillStyle = ink("muted");
      lanes.forEach((process, at) => {
        const name = "p" + process, y = 18 + at * tall + bar / 2;
        const wide = g.measureText(name).width + 6;
        g.fillStyle = ink("panel"); g.fillRect(0, y - 7, wide, 14);
        g.fillStyle = ink("muted"); g.fillText(name, 3, y);
      });
    }
    return visible.length.toLocaleString("en") + " operations of " + lanes.length.toLocaleString("en") + " processes";
  }

  // Where a fault is in view, from left to right; null where it is not.
  function reach(strip, x, width) {
    const left = Math.max(0, x(strip.from)), right = Math.min(width, strip.to === null ? width : x(strip.to));
    return !show.faults || right < 0 || left > width ? null : [left, Math.max(1, right - left)];
  }

  function drawBands(g, ink, x, bottom, width) {
    g.globalAlpha = .12;
    for (const strip of strips) {
      const span = reach(strip, x, width);
      if (!span) continue;
      g.fillStyle = ink(strip.ink);
      g.fillRect(span[0], 0, span[1], bottom);
    }
    g.globalAlpha = 1;
  }

  function drawStrips(g, ink, x, bottom, width) {
    for (const strip of strips) {
      const span = reach(strip, x, width);
      if (!span) continue;
      const y = bottom + 2 + strip.row * STRIP;
      g.fillStyle = ink(strip.ink);
      g.globalAlpha = .55; g.fillRect(span[0], y, Math.max(2, span[1]), STRIP - 2); g.globalAlpha = 1;
      const label = strip.label + (strip.to === null ? " ▸" : "");
      if (g.measureText(label).width + 6 < span[1]) {
        g.fillStyle = ink("text");
        g.fillText(label, span[0] + 3, y + STRIP / 2 - 1);
      }
    }
  }

  function drawAxis(g, ink, x, height, width) {
    const wanted = (view.to - view.from) / Math.max(2, width / 90);
    const power = Math.pow(10, Math.floor(Math.log10(wanted)));
    const step = Math.max(run.events ? 1 : 0, [1, 2, 5, 10].map((n) => n * power).find((n) => n >= wanted));
    const digits = Math.min(6, Math.max(0, Math.ceil(-Math.log10(step / 1e6))));
    g.fillStyle = ink("muted");
    for (let t = Math.ceil(view.from / step) * step; t <= view.to; t += step) {
      g.fillRect(x(t), height - AXIS, 1, 4);
      const label = instant(t, digits);
      g.fillText(label, Math.max(1, Math.min(width - 40, x(t) - g.measureText(label).width / 2)), height - 8);
    }
  }

  // --- moving about --------------------------------------------------------------------------------------------------

  function look(from, to) {
    const span = Math.min(end, Math.max(VIEW_MIN, to - from));
    view.from = Math.min(Math.max(0, (from + to - span) / 2), end - span);
    view.to = view.from + span;
    redraw();
  }

  const zoom = (factor, at = (view.from + view.to) / 2) =>
    look(at - (at - view.from) * factor, at + (view.to - at) * factor);
  const pan = (share) => {
    const by = (view.to - view.from) * share;
    const span = view.to - view.from;
    const from = Math.min(Math.max(0, view.from + by), end - span);
    look(from, from + span);
  };
  const acts = {
    in: () => zoom(.5), out: () => zoom(2), left: () => pan(-.25), right: () => pan(.25), all: () => look(0, end),
    violation: () => {
      if (!run.violation) return;
      const room = Math.max(5 * (run.violation.to - run.violation.from), run.events ? 10 : 20000);
      look(run.violation.from - room, run.violation.to + room);
      choose(run.violation.op - run.columns.first);
    },
  };
  const keys = { ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", "0": "all", v: "violation" };

  canvas.addEventListener("keydown", (event) => {
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    acts[act]();
  });
  canvas.addEventListener("wheel", (event) => {
    // Without a click first, the wheel scrolls the page.
    if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) return;
    event.preventDefault();
    const box = canvas.getBoundingClientRect();
    const at = view.from + (event.clientX - box.left) / box.width * (view.to - view.from);
    zoom(Math.exp(Math.max(-100, Math.min(100, event.deltaY)) * .005), at);
  }, { passive: false });

  // The cursor lies above the picture, so that moving it does not draw the picture again.
  const line = document.getElementById("run-cursor");
  function place(t) {
    cursor = t;
    line.hidden = t === null || t < view.from || t > view.to;
    if (line.hidden) return;
    const share = (t - view.from) / (view.to - view.from);
    line.style.left = share * 100 + "%";
    line.classList.toggle("left", share > .8); // its label is on the left
    line.firstElementChild.textContent = run.events ? instant(t, 0) : instant(t, 3);
  }
  document.addEventListener("cursor", (event) => place(event.detail));

  const fingers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    fingers.set(event.pointerId, event.clientX);
    moved = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    const box = canvas.getBoundingClientRect();
    const time = (clientX) => view.from + (clientX - box.left) / box.width * (view.to - view.from);
    if (before === undefined) {
      document.dispatchEvent(new CustomEvent("cursor", { detail: time(event.clientX) }));
      return;
    }
    moved += Math.abs(event.clientX - before);
    if (fingers.size === 1) {
      pan((before - event.clientX) / box.width);
    } else {
      const other = [...fingers].find(([id]) => id !== event.pointerId)[1];
      const wide = Math.abs(event.clientX - other);
      if (wide > 5) zoom(Math.abs(before - other) / wide, time(other));
    }
    fingers.set(event.pointerId, event.clientX);
  });
  const lift = (event) => fingers.delete(event.pointerId);
  canvas.addEventListener("pointerup", lift);
  canvas.addEventListener("pointercancel", lift);
  canvas.addEventListener("click", (event) => {
    if (moved > 4) return;
    const box = canvas.getBoundingClientRect();
    const px = event.clientX - box.left, py = event.clientY - box.top;
    const hit = bars.findLast((bar) => px >= bar.x - 2 && px <= bar.x + bar.w + 2 && py >= bar.y - 1 && py <= bar.y + bar.h + 1);
    choose(hit ? hit.at : -1);
  });

  // Everything that came from the run is written as text, never as markup.
  function choose(at) {
    chosen = at >= 0 && at < ops.n ? at : -1;
    const panel = document.getElementById("run-op");
    panel.hidden = chosen < 0;
    panel.replaceChildren();
    redraw();
    if (chosen < 0) return;
    const seconds = (t) => instant(t, 6);
    const took = (length) => run.events ? length + " events" : (length / 1000).toFixed(3) + " ms";
    const never = ops.end[at] < 0;
    const rows = [
      ["operation", words(at)], ["process", "p" + ops.process[at]], ["outcome", KINDS[ops.kind[at]]],
      ["invoked", seconds(ops.call[at])], ["completed", never ? "never" : seconds(ops.end[at])],
      ["took", never ? "–" : took(ops.end[at] - ops.call[at])],
      ["history.jsonl", "line " + (ops.line[at] + 1) + (ops.lastLine[at] < 0 ? "" : " and line " + (ops.lastLine[at] + 1))],
    ];
    for (const [term, text] of rows) {
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = term;
      dd.textContent = text;
      panel.append(dt, dd);
    }
  }

  const tools = document.getElementById("run-tools");
  tools.hidden = false;
  document.getElementById("run-hint").hidden = false;
  tools.addEventListener("click", (event) => {
    const act = acts[event.target.dataset.do];
    if (act) act();
  });
  tools.addEventListener("change", (event) => {
    const kind = event.target.dataset.kind;
    if (kind in show) show[kind] = event.target.checked;
    redraw();
  });
  window.addEventListener("resize", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  draw();
})();
